package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.text.InvalidTextException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// A folder of Hugging Face's library with a byte-level tokenizer of 128 tokens.
class TextGeneratorTest {
  /// Ids 0 to 2 are special; then come the letters of the bytes of `ä` and of an emoji, and ASCII.
  private static final String BYTES = "Ã¤ðŁĺĢ";

  private static final GenerationOptions OPTIONS =
      GenerationOptions.DEFAULT.withMaxTokens(40).withTemperature(2).withTopP(1).withSeed(5);

  @TempDir private Path temporary;
  private Path folder;
  private TextGenerator generator;

  @BeforeEach
  void open() throws IOException {
    folder = Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary);
    Files.writeString(folder.resolve("tokenizer.json"), tokenizer(128));
    generator = TextGenerator.open(folder);
  }

  @AfterEach
  void close() {
    generator.close();
  }

  private static String tokenizer(int size) {
    var tokens = new ArrayList<>(List.of("<s>", "<pad>", "</s>"));
    BYTES.chars().forEach(c -> tokens.add(Character.toString(c)));
    for (char c = '!'; c <= '~'; c++) {
      tokens.add("\"\\".indexOf(c) < 0 ? Character.toString(c) : "\\" + c);
    }
    tokens.add("Ġ");
    while (tokens.size() < size) {
      tokens.add("unused" + tokens.size());
    }
    var vocabulary = new StringBuilder();
    for (int id = 0; id < tokens.size(); id++) {
      vocabulary.append(id == 0 ? "" : ", ").append("\"%s\": %d".formatted(tokens.get(id), id));
    }
    var special = new StringBuilder();
    for (int id = 0; id < 3; id++) {
      special
          .append(id == 0 ? "" : ", ")
          .append(
              """
              {"id": %d, "content": "%s", "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true}\
              """
                  .formatted(id, tokens.get(id)));
    }
    return """
    {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [%s],
     "normalizer": null,
     "pre_tokenizer":
       {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
     "post_processor": null,
     "decoder":
       {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
     "model": {"type": "BPE", "dropout": null, "unk_token": null,
       "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
       "byte_fallback": false, "ignore_merges": false, "vocab": {%s}, "merges": []}}
    """
        .formatted(special, vocabulary);
  }

  @Test
  void a_continuation_has_its_text_its_tokens_and_a_reason() {
    Completion completion = generator.generate("One day", OPTIONS);
    assertThat(completion.isDone()).isTrue();
    assertThat(completion.finishReason()).isEqualTo(FinishReason.MAX_TOKENS);
    assertThat(completion.tokens()).hasSize(40);
    assertThat(completion.text())
        .isNotEmpty()
        .isEqualTo(generator.tokenizer().decode(completion.tokens()));
    assertThat(completion.toString()).contains("MAX_TOKENS", "40 tokens", completion.text());
    assertThat(generator.generate("One day", OPTIONS).text()).isEqualTo(completion.text());
    assertThat(generator.generate("One day", OPTIONS.withSeed(6)).text())
        .isNotEqualTo(completion.text());
    assertThat(generator.generate("One day")).isNotNull();
  }

  @Test
  void pieces_are_whole_characters_and_make_up_the_text() {
    boolean some = false;
    for (long seed = 0; seed < 8; seed++) {
      GenerationOptions options = OPTIONS.withSeed(seed);
      Completion whole = generator.generate("ä", options);
      try (var stream = generator.stream("ä", options)) {
        List<String> pieces = stream.toList();
        assertThat(String.join("", pieces)).isEqualTo(whole.text());
        assertThat(pieces)
            .allSatisfy(piece -> {
              assertThat(piece).isNotEmpty();
              assertThat(Character.isLowSurrogate(piece.charAt(0))).isFalse();
              assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1))).isFalse();
            });
        some |= pieces.size() < whole.tokens().length;
      }
    }
    assertThat(some).as("tokens that complete no character").isTrue();
  }

  @Test
  void a_stream_computes_only_what_is_read() {
    try (var stream = generator.stream("One", OPTIONS.withMaxTokens(1_000_000_000))) {
      assertThat(stream.limit(3).toList()).hasSize(3);
    }
  }

  @Test
  void a_stop_string_ends_the_text_and_is_not_shown() {
    String free = generator.generate("One day", OPTIONS).text();
    String stop = free.substring(10, 13);
    Completion stopped = generator.generate("One day", OPTIONS.withStopStrings(List.of(stop)));
    assertThat(stopped.finishReason()).isEqualTo(FinishReason.STOP_STRING);
    assertThat(stopped.text()).isEqualTo(free.substring(0, free.indexOf(stop)));
  }

  @Test
  void the_models_own_end_ends_the_text() throws IOException {
    int[] free = generator.generate("One day", OPTIONS).tokens();
    Files.writeString(
        folder.resolve("generation_config.json"), "{\"eos_token_id\": %d}".formatted(free[9]));
    try (var other = TextGenerator.open(folder)) {
      Completion ended = other.generate("One day", OPTIONS);
      assertThat(ended.finishReason()).isEqualTo(FinishReason.END_OF_TEXT);
      assertThat(ended.tokens()).hasSizeLessThanOrEqualTo(9);
      assertThat(free).startsWith(ended.tokens());
    }
  }

  @Test
  void a_prompt_begins_as_the_folder_says() throws IOException {
    int[] plain = generator.request("a", OPTIONS).prompt();
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"add_bos_token\": true, \"bos_token\": \"<s>\"}");
    try (var other = TextGenerator.open(folder)) {
      int[] begun = other.request("a", OPTIONS).prompt();
      assertThat(begun[0]).isZero();
      assertThat(Arrays.copyOfRange(begun, 1, begun.length)).containsExactly(plain);
    }
    assertThat(generator.request("", OPTIONS).prompt()).isNotEmpty();
  }

  @Test
  void several_prompts_advance_together_and_give_the_same_texts() {
    var prompts = List.of("One", "Two", "Three");
    var together = new ArrayList<Completion>();
    try (var generation = new Generation(generator.model())) {
      for (String prompt : prompts) {
        together.add(generation.add(generator.request(prompt, OPTIONS), _ -> {}));
      }
      generation.step();
      assertThat(together.getFirst().isDone()).isFalse();
      assertThatThrownBy(together.getFirst()::finishReason)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("not done");
      generation.run();
    }
    for (int i = 0; i < prompts.size(); i++) {
      assertThat(together.get(i).text())
          .isEqualTo(generator.generate(prompts.get(i), OPTIONS).text());
    }
  }

  @Test
  void a_folder_without_a_tokenizer_or_with_one_of_another_model_is_refused() throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), tokenizer(150));
    assertThatThrownBy(() -> TextGenerator.open(folder))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("belong to different models");
    Files.delete(folder.resolve("tokenizer.json"));
    assertThatThrownBy(() -> TextGenerator.open(folder))
        .isInstanceOf(InvalidTextException.class)
        .hasMessageContaining("no tokenizer.json");
  }

  @Test
  void options_that_make_no_sense_are_refused_by_name() {
    GenerationOptions options = GenerationOptions.DEFAULT;
    assertThatThrownBy(() -> options.withMaxTokens(0)).hasMessageContaining("maxTokens (0)");
    assertThatThrownBy(() -> options.withTemperature(-1)).hasMessageContaining("temperature");
    assertThatThrownBy(() -> options.withTopP(0)).hasMessageContaining("topP");
    assertThatThrownBy(() -> options.withStopStrings(List.of("")))
        .hasMessageContaining("must not be empty");
    long first = options.sampler().seed();
    assertThat(options.sampler().seed()).isNotEqualTo(first);
    assertThat(options.withSeed(3L).sampler().seed()).isEqualTo(3);
  }
}
