package io.xlstm4j.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BuiltInTokenizersTest {
  @Test
  void bytes_are_their_own_ids() {
    try (var tokenizer = Tokenizers.builtIn("bytes")) {
      assertThat(tokenizer.encode("aé\u0000")).containsExactly('a', 0xC3, 0xA9, 0);
      assertThat(tokenizer.vocabSize()).isEqualTo(257);
      assertThat(tokenizer.endOfText()).isEqualTo(256);
    }
  }

  @Test
  void gpt2_gives_the_ids_of_the_published_vocabulary() {
    try (var tokenizer = Tokenizers.builtIn("gpt2")) {
      assertThat(tokenizer.encode("Hello, world!")).containsExactly(15496, 11, 995, 0);
      assertThat(tokenizer.vocabSize()).isEqualTo(50_257);
      assertThat(tokenizer.endOfText()).isEqualTo(50_256);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void decoding_undoes_encoding(String name) {
    var random = new Random(2);
    try (var tokenizer = Tokenizers.builtIn(name)) {
      for (String text : Samples.NASTY) {
        assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
      }
      for (int i = 0; i < 300; i++) {
        String text = Samples.random(random, 30);
        assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void many_texts_at_once_give_the_same_ids_as_one_by_one(String name) {
    try (var tokenizer = Tokenizers.builtIn(name)) {
      List<int[]> all = tokenizer.encodeAll(Samples.NASTY);
      assertThat(all).hasSameSizeAs(Samples.NASTY);
      for (int i = 0; i < all.size(); i++) {
        assertThat(all.get(i)).containsExactly(tokenizer.encode(Samples.NASTY.get(i)));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void a_special_token_in_a_text_is_ordinary_text(String name) {
    try (var tokenizer = Tokenizers.builtIn(name)) {
      assertThat(tokenizer.encode("a<|endoftext|>b")).doesNotContain(tokenizer.endOfText());
      assertThat(tokenizer.decode(new int[] {tokenizer.endOfText()})).isEqualTo("<|endoftext|>");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void a_lone_surrogate_counts_as_a_replacement_character(String name) {
    try (var tokenizer = Tokenizers.builtIn(name)) {
      assertThat(tokenizer.encode("a\uD83Db\uDE42"))
          .containsExactly(tokenizer.encode("a\uFFFDb\uFFFD"));
      assertThat(tokenizer.decode(tokenizer.encode("\uD83D\uD83D\uDE42"))).isEqualTo("\uFFFD🙂");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bytes", "gpt2"})
  void an_id_outside_of_the_vocabulary_is_refused(String name) {
    try (var tokenizer = Tokenizers.builtIn(name)) {
      for (int id : new int[] {-1, tokenizer.vocabSize()}) {
        assertThatThrownBy(() -> tokenizer.decode(new int[] {id}))
            .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> tokenizer.streamDecoder().next(id))
            .isInstanceOf(IndexOutOfBoundsException.class);
      }
    }
  }

  @Test
  void a_long_text_without_a_space_is_encoded_in_time() {
    try (var tokenizer = Tokenizers.builtIn("gpt2")) {
      String text = "x".repeat(100_000);
      assertThat(tokenizer.decode(tokenizer.encode(text))).isEqualTo(text);
    }
  }

  @Test
  void an_unknown_name_is_answered_with_the_known_ones() {
    assertThatThrownBy(() -> Tokenizers.builtIn("gpt3"))
        .isInstanceOf(InvalidTextException.class)
        .hasMessage("tokenizer gpt3: no built-in of that name; there are bytes and gpt2");
  }

  @Test
  void the_file_in_a_model_folder_wins_over_the_name(@TempDir Path folder) throws Exception {
    try (var named = Tokenizers.open(folder, "bytes")) {
      assertThat(named.name()).isEqualTo("bytes");
    }
    Files.copy(Samples.golden("tokenizer.json"), folder.resolve("tokenizer.json"));
    try (var fromFile = Tokenizers.open(folder, "bytes")) {
      assertThat(fromFile.name()).isEqualTo("tokenizer.json");
    }
  }

  @Test
  void a_folder_without_a_file_needs_a_name(@TempDir Path folder) {
    assertThatThrownBy(() -> Tokenizers.open(folder, null))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining(folder.toString())
        .hasMessageContaining("no tokenizer.json in the folder");
  }
}
