package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The token of a `tokenizer.json` that ends a text.
class TokenizerEndsTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int FIRST_FREE = 408;

  @TempDir private Path folder;
  private ObjectNode root;

  @BeforeEach
  void without_its_own_end() throws IOException, URISyntaxException {
    root = (ObjectNode) JSON.readTree(Samples.golden("tokenizer.json").toFile());
    root.putArray("added_tokens");
    var vocab = (ObjectNode) root.path("model").path("vocab");
    vocab.set("<|none|>", vocab.remove(Tokenizer.END_OF_TEXT)); // ids of added tokens follow it
  }

  private TokenizerEndsTest add(String token, boolean special) {
    ArrayNode added = (ArrayNode) root.path("added_tokens");
    int id = FIRST_FREE + added.size();
    added
        .addObject()
        .put("id", id)
        .put("content", token)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", special);
    return this;
  }

  private Path write() throws IOException {
    return Files.writeString(folder.resolve("tokenizer.json"), root.toString());
  }

  @Test
  void a_special_token_goes_before_a_lookalike_which_stays_ordinary_text() throws IOException {
    Path file = add("<eos>", true).add("</s>", false).write();
    try (var tokenizer = Tokenizers.fromFile(file)) {
      assertThat(tokenizer.endOfText()).isEqualTo(FIRST_FREE);
      assertThat(tokenizer.encode("a</s>b")).hasSize(3).contains(FIRST_FREE + 1);
      assertThat(tokenizer.encode("a<eos>b")).doesNotContain(FIRST_FREE);
    }
  }

  @Test
  void a_lookalike_is_taken_where_there_is_no_other() throws IOException {
    try (var tokenizer = Tokenizers.fromFile(add("</s>", false).write())) {
      assertThat(tokenizer.endOfText()).isEqualTo(FIRST_FREE);
      assertThat(tokenizer.encode("a</s>b")).doesNotContain(FIRST_FREE);
    }
  }

  @ParameterizedTest(name = "{0} is wanted")
  @CsvSource({"409, 409", "410, 410", "50, 408", "411, 408", "-1, 408", "2000000000, 408"})
  void the_configured_id_is_taken_unless_it_is_an_ordinary_word(int wanted, int end)
      throws IOException {
    Path file = add("<eos>", true).add("<stop>", true).add("</s>", false).write();
    try (var tokenizer = Tokenizers.fromFile(file, wanted)) {
      assertThat(tokenizer.endOfText()).isEqualTo(end);
      assertThat(tokenizer.encode("a<eos>b<stop>c</s>d")).doesNotContain(end);
    }
  }

  @Test
  void a_tokenizer_without_an_end_opens_and_says_so_only_where_one_is_needed() throws IOException {
    Path file = add("<|finish|>", true).write();
    try (var tokenizer = Tokenizers.fromFile(file)) {
      assertThat(tokenizer.hasEndOfText()).isFalse();
      assertThat(tokenizer.decode(tokenizer.encode("some text"))).isEqualTo("some text");
      assertThatThrownBy(tokenizer::endOfText)
          .isInstanceOf(InvalidTextException.class)
          .hasMessageStartingWith(file + ": no token ends a text")
          .hasMessageContaining("eos_token_id")
          .hasMessageNotContaining("\n");
      assertThatThrownBy(() ->
              TokenFile.build(
                  Samples.MemoryCorpus.of("one"), Split.TRAIN, tokenizer, folder.resolve("t.bin")))
          .isInstanceOf(InvalidTextException.class)
          .hasMessageContaining("no token ends a text");
      assertThat(folder.resolve("t.bin")).doesNotExist();
    }
  }
}
