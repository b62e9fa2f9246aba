package io.xlstm4j.core.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The file of a folder that says where a text begins and ends.
class SpecialTokensTest {
  private static final String CONFIG =
      "{\"model_type\": \"xlstm\", \"vocab_size\": 30, \"hidden_size\": 16, \"num_blocks\": 1,"
          + " \"num_heads\": 2";

  private static final String TOKENIZER =
      """
      {"added_tokens": [
         {"id": 0, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
       "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "</s>": 2, "the": 9}, "merges": []},
       "post_processor": POST}
      """;

  private static final String TEMPLATE =
      """
      {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}},
                  {"SpecialToken": {"id": "</s>", "type_id": 0}}],
       "special_tokens": {"<s>": {"id": "<s>", "ids": [0]}, "</s>": {"id": "</s>", "ids": [2]}}}]}
      """;

  @TempDir private Path folder;

  private void write(String name, String content) throws IOException {
    Files.writeString(folder.resolve(name), content);
  }

  private SpecialTokens read(String moreConfig) throws IOException {
    write("config.json", CONFIG + moreConfig + "}");
    return SpecialTokens.read(folder, CheckpointConfig.read(folder));
  }

  private static int[] prompt(SpecialTokens tokens, int... text) {
    return tokens.prompt(text, OptionalInt.of(2));
  }

  @Test
  void the_end_comes_from_the_first_file_that_names_one() throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", "null"));
    assertThat(read("").ends()).isEmpty();
    assertThat(read("").stops(OptionalInt.of(7))).containsExactly(7);

    write("tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
    assertThat(read("").ends()).containsExactly(2);
    write("tokenizer_config.json", "{\"eos_token\": {\"content\": \"<s>\", \"lstrip\": false}}");
    assertThat(read("").ends()).containsExactly(0);

    assertThat(read(", \"eos_token_id\": [2, 0, 9]").ends()).containsExactly(2, 0, 9);
    write("generation_config.json", "{\"eos_token_id\": [0, 2]}");
    assertThat(read(", \"eos_token_id\": 5").ends()).containsExactly(0, 2);
    assertThat(read(", \"eos_token_id\": 5").stops(OptionalInt.of(7)))
        .containsExactlyInAnyOrder(0, 2);
    write("generation_config.json", "{\"eos_token_id\": null}");
    assertThat(read(", \"eos_token_id\": 5").ends()).containsExactly(5);
  }

  @Test
  void a_prompt_begins_with_nothing_unless_a_file_says_so() throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", "null"));
    assertThat(prompt(read(", \"bos_token_id\": 0"), 1, 9)).containsExactly(1, 9);
    assertThat(prompt(read(", \"bos_token_id\": 0"))).as("of the empty text").containsExactly(0);
    assertThat(prompt(read(", \"eos_token_id\": 9"))).containsExactly(9);
  }

  @Test
  void a_prompt_begins_as_the_template_of_the_tokenizer_says() throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", TEMPLATE));
    assertThat(prompt(read(""), 1)).containsExactly(0, 1);
    assertThat(prompt(read(""))).containsExactly(0);
    write(
        "tokenizer.json",
        TOKENIZER.replace("POST", "{\"type\": \"RobertaProcessing\", \"cls\": [\"<s>\", 0]}"));
    assertThat(prompt(read(""), 1)).containsExactly(0, 1);
  }

  @Test
  void add_bos_token_says_it_whatever_the_template_is() throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", TEMPLATE));
    write("tokenizer_config.json", "{\"bos_token\": \"</s>\", \"add_bos_token\": true}");
    assertThat(prompt(read(", \"bos_token_id\": 9"), 1)).containsExactly(2, 1);
    write("tokenizer_config.json", "{\"bos_token\": \"</s>\", \"add_bos_token\": false}");
    assertThat(prompt(read(", \"bos_token_id\": 9"), 1)).containsExactly(1);
    assertThat(prompt(read(", \"bos_token_id\": 9, \"force_bos_token_insert\": true"), 1)[0])
        .isEqualTo(9);
  }

  @Test
  void folders_of_ours_begin_a_text_with_its_end_and_say_so() throws IOException {
    ModelConfig paper = PaperModelConfig.of(30, BlockStackConfig.of(1, 16, List.of()));
    ModelConfig large = LargeModelConfig.of(30, 16, 1, 2).withVocabulary(30, 4);
    for (ModelConfig model : List.of(paper, large)) {
      String written = CheckpointConfig.ofDocuments(model, "bytes", 4).toJson();
      assertThat(written).contains("\"eos_token_id\" : 4", "\"add_bos_token\" : true");
      write("config.json", written);
      CheckpointConfig again = CheckpointConfig.read(folder);
      assertThat(again.toJson()).isEqualTo(written);
      var tokens = SpecialTokens.read(folder, again);
      assertThat(tokens.ends()).containsExactly(4);
      assertThat(prompt(tokens, 1)).containsExactly(4, 1);
    }
  }

  @Test
  void folders_of_ours_from_before_the_rule_was_written_keep_it() throws IOException {
    ModelConfig paper = PaperModelConfig.of(30, BlockStackConfig.of(1, 16, List.of()));
    write("config.json", new CheckpointConfig(paper, "bytes").toJson());
    assertThat(prompt(SpecialTokens.read(folder, CheckpointConfig.read(folder)), 1))
        .containsExactly(2, 1); // what the tokenizer takes for the end
    assertThat(prompt(read(", \"eos_token_id\": 5, \"context_length\": 64"), 1))
        .containsExactly(5, 1);
  }

  @Test
  void a_conversion_keeps_the_rule_and_writes_it_down() throws IOException {
    var model = LargeModelConfig.of(30, 16, 1, 2).withVocabulary(30, 4);
    Path theirs = folder.resolve("theirs");
    Folders.write(theirs, model, Folders.tensors(model, 1, DType.F32));
    Files.writeString(theirs.resolve("config.json"), CONFIG + ", \"eos_token_id\": [4, 9]}");
    Path ours = folder.resolve("ours");
    Folders.write(ours, model, Folders.tensors(model, 1, DType.F32));
    for (Path from : List.of(theirs, ours)) {
      SpecialTokens before = special(from);
      Path same = convert(from, from + "-same", null);
      Path official = convert(same, from + "-official", ModelFolder.Layout.OFFICIAL);
      for (Path to : List.of(same, official)) {
        assertThat(special(to).ends()).as("%s", to).isEqualTo(before.ends());
        assertThat(prompt(special(to), 1)).as("%s", to).containsExactly(prompt(before, 1));
      }
    }
  }

  private static SpecialTokens special(Path folder) {
    return SpecialTokens.read(folder, CheckpointConfig.read(folder));
  }

  private static Path convert(Path from, String to, ModelFolder.@Nullable Layout layout) {
    Path out = Path.of(to);
    try (var opened = ModelFolder.open(from)) {
      CheckpointConverter.write(
          opened,
          out,
          new CheckpointConverter.Target(
              layout, null, null, null, CheckpointConverter.DEFAULT_SHARD_BYTES));
    }
    return out;
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "[2, 9] | eos_token_id 9 is the ordinary word 'the' of tokenizer.json",
        "17 | eos_token_id 17 is no token of tokenizer.json",
        "[30, 2] | eos_token_id 30 is not in [0, vocab_size (30)) and is ignored",
        "[-1, 2] | eos_token_id -1 is not in [0, vocab_size (30)) and is ignored"
      })
  void what_the_configuration_says_against_the_tokenizer_is_reported_once(
      String eos, String warning) throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", "null"));
    write("generation_config.json", "{\"eos_token_id\": " + eos + "}");
    assertThat(read("").warnings())
        .hasSize(1)
        .allSatisfy(line -> assertThat(line).contains("generation_config.json: ", warning));
  }

  @Test
  void a_name_that_no_token_has_is_reported() throws IOException {
    write("tokenizer.json", TOKENIZER.replace("POST", "null"));
    write("tokenizer_config.json", "{\"eos_token\": \"<end>\"}");
    assertThat(read("").ends()).isEmpty();
    assertThat(read("").warnings().getFirst()).contains("eos_token is '<end>', which is no token");
  }

  @Test
  void an_empty_prompt_without_any_token_to_begin_with_is_refused() throws IOException {
    SpecialTokens nothing = read("");
    assertThatThrownBy(() -> nothing.prompt(new int[0], OptionalInt.empty()))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("the prompt is empty");
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "generation_config.json | {\"eos_token_id\": \"end\"} | eos_token_id must be a whole number",
        "generation_config.json | [1] | expected a JSON object",
        "generation_config.json | {} {} | not JSON",
        "tokenizer_config.json | {\"a\" | not JSON",
        "tokenizer.json | [] | must hold a JSON object",
        "tokenizer.json | {\"added_tokens\": [ | not JSON"
      })
  void a_broken_file_is_named(String name, String content, String message) throws IOException {
    write(name, content);
    assertThatThrownBy(() -> read(", \"eos_token_id\": 2"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(folder.resolve(name) + ": ")
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void deep_nesting_is_refused_in_constant_stack() throws IOException {
    write("tokenizer.json", "{\"post_processor\": " + "[".repeat(1_000_000));
    assertThatThrownBy(() -> read(""))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("nesting depth");
  }
}
