package io.xlstm4j.train.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RunConfigTest {
  private static RunConfig with(String yaml) {
    return RunConfig.DEFAULT.with(RunConfigFile.parse(yaml, "run.yaml"), "run.yaml");
  }

  private static BlockStackConfig paper(RunConfig config) {
    return ((PaperModelConfig) config.model()).blockStack();
  }

  @Test
  void what_is_not_said_keeps_its_default() {
    RunConfig config = with("training: {steps: 7}\nmodel: {num_blocks: 3, slstm_at: [2]}");
    assertThat(config.training().steps()).isEqualTo(7);
    assertThat(config.training().batchSize()).isEqualTo(RunConfig.DEFAULT.training().batchSize());
    assertThat(paper(config).slstmAt()).containsExactly(2);
    assertThat(config.model().embeddingDim()).isEqualTo(RunConfig.DEFAULT.model().embeddingDim());
  }

  @Test
  void an_empty_file_is_the_default_run() {
    assertThat(with("")).isEqualTo(RunConfig.DEFAULT);
  }

  @Test
  void written_and_read_again_it_is_the_same() {
    RunConfig config =
        with(
            "model: {slstm_at: all, num_blocks: 3, mlstm_block: null, dropout: 0.2}\n"
                + "data: {corpus: 'a: b', tokenizer: gpt2}");
    assertThat(with(RunConfigFile.toYaml(config))).isEqualTo(config);
  }

  @Test
  void a_model_of_the_large_family_is_chosen_by_its_type() {
    RunConfig config =
        with("model: {model_type: xlstm, num_blocks: 2, gate_soft_cap: 7, weight_mode: fused}");
    var model = (LargeModelConfig) config.model();
    assertThat(model.numBlocks()).isEqualTo(2);
    assertThat(model.gateSoftCap()).isEqualTo(7);
    assertThat(model.weightMode()).isEqualTo(LargeModelConfig.WeightMode.FUSED);
    assertThat(with(RunConfigFile.toYaml(config))).isEqualTo(config);
    var more = RunConfigFile.parse("model: {num_heads: 2}", "run.yaml"); // the type stays
    assertThat(((LargeModelConfig) config.with(more, "run.yaml").model()).numHeads()).isEqualTo(2);
  }

  @Test
  void overrides_reach_every_key_with_yaml_values() {
    var keys = RunConfigFile.parse("training: {steps: 7}", "run.yaml");
    RunConfigFile.override(
        keys,
        List.of(
            "training.batch_size=3",
            "model.slstm_at=[0, 1]",
            "model.mlstm_block.mlstm.num_heads=2",
            "samples.prompts=[a, 'b c']"));
    RunConfig config = RunConfig.DEFAULT.with(keys, "run.yaml");
    assertThat(config.training().steps()).isEqualTo(7);
    assertThat(config.training().batchSize()).isEqualTo(3);
    assertThat(paper(config).slstmAt()).containsExactly(0, 1);
    assertThat(paper(config).mlstmBlock())
        .isEqualTo(new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(2)));
    assertThat(config.samples().prompts()).containsExactly("a", "b c");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          training: {step: 7}          | run.yaml: unknown key training.step; did you mean steps?
          trainig: {steps: 7}          | run.yaml: unknown key trainig; did you mean training?
          model: {numblocks: 3}        | run.yaml: model: unknown key numblocks; did you mean num_blocks?
          model: {vocab_size: 3}       | run.yaml: model.vocab_size follows from the tokenizer; leave it out
          model: {model_type: llama}   | run.yaml: model: model_type must be xlstm_paper, xlstm or xlstm_sequence, but is "llama"
          model: {model_type: xlstm, num_head: 1}   | run.yaml: model: unknown key num_head; did you mean num_heads?
          model: {model_type: xlstm, num_heads: 5}  | run.yaml: model: numHeads (5) must divide query/key width (96); remainder 1
          model: 3                     | run.yaml: model must be a section of keys
          training: {steps: seven}     | run.yaml: training.steps must be a whole number, but is "seven"
          training: {steps: 1.5}       | run.yaml: training.steps must be a whole number, but is 1.5
          training: {steps: -1}        | run.yaml: training: steps (-1) must not be negative
          optimizer: {beta1: 1}        | run.yaml: optimizer: beta1 (1.0) must be in [0.0, 1.0)
          model: {embedding_dim: 130, slstm_at: [0]} | run.yaml: model: numHeads (4) must divide embeddingDim (130); remainder 2
          model: {mlstm_block: {mlstm: {num_heads: 5}}} | run.yaml: model: numHeads (5) must divide inner width (384); remainder 4
          model: {num_blocks: 2, slstm_at: [2]} | run.yaml: model: slstmAt (2) must be a block index below numBlocks (2)
          model: {num_blocks: 2147483647} | run.yaml: model: numBlocks (2147483647) must be at most 4096
          data: [1]                    | run.yaml: data must be a section of keys, but is [1]
          [1, 2]                       | run.yaml: expected sections such as training:, not a list
          """)
  void a_wrong_line_is_told_of_in_one_line(String yaml, String message) {
    assertThatThrownBy(() -> with(yaml))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message);
  }

  @Test
  void broken_yaml_names_the_line() {
    assertThatThrownBy(() -> with("training:\n  steps: [7"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("run.yaml: line ")
        .hasMessageContaining("not YAML");
  }

  @Test
  void a_key_given_twice_is_refused() {
    assertThatThrownBy(() -> with("training: {steps: 1, steps: 2}"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("steps");
  }
}
