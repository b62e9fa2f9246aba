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
import org.junit.jupiter.params.provider.ValueSource;

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
          training: {step: 7}          | run.yaml: unknown key training.step; did you mean training.steps?
          trainig: {steps: 7}          | run.yaml: unknown key trainig.steps; did you mean training.steps?
          model: {numblocks: 3}        | run.yaml: unknown key model.numblocks; did you mean model.num_blocks?
          model: {vocab_size: 3}       | run.yaml: model.vocab_size follows from the tokenizer; leave it out, or set data.vocab_size
          model: {model_type: llama}   | run.yaml: model.model_type must be xlstm_paper, xlstm or xlstm_sequence, but is "llama"
          model: {model_type: xlstm, num_head: 1}   | run.yaml: unknown key model.num_head; did you mean model.num_heads?
          model: {model_type: xlstm, num_heads: 5}  | run.yaml: model.num_heads (5) must divide query/key width (96); remainder 1
          model: 3                     | run.yaml: model must be a section of keys
          training: {steps: seven}     | run.yaml: training.steps must be a whole number, but is "seven"
          training: {steps: 1.5}       | run.yaml: training.steps must be a whole number, but is 1.5
          training: {steps: -1}        | run.yaml: training.steps (-1) must not be negative
          device: tpu                    | run.yaml: device (tpu) must be cpu, cuda or cuda:N
          training: {steps: 0}         | run.yaml: training.steps, training.tokens, training.epochs and training.minutes are all 0, and the run has no end; one of them must be above 0
          optimizer: {beta1: 1}        | run.yaml: optimizer.beta1 (1.0) must be in [0.0, 1.0)
          model: {embedding_dim: 130, slstm_block: {slstm: {num_heads: 4}}} | run.yaml: model.slstm_block.slstm.num_heads (4) must divide model.embedding_dim (130); remainder 2
          model: {mlstm_block: {mlstm: {num_heads: 5}}} | run.yaml: model.mlstm_block.mlstm.num_heads (5) must divide inner width (384); remainder 4
          model: {mlstm_block: {mlstm: {proj_factor: 1e9}}} | run.yaml: model.mlstm_block.mlstm.proj_factor (1.0E9) times model.embedding_dim (192), rounded up to a multiple of 64, gives 192000000000: not a usable width
          model: {num_blocks: 2, slstm_at: [2]} | run.yaml: model.slstm_at (2) must be a block index below model.num_blocks (2)
          model: {num_blocks: 2147483647} | run.yaml: model.num_blocks (2147483647) must be at most 4096
          model: {slstm_at: some}      | run.yaml: model.slstm_at must be a list of block indices or "all", but is "some"
          optimizer: {groups: [{match: '('}]} | run.yaml: optimizer.groups.0.match (() is not a regular expression: Unclosed group
          schedule: {kind: steps}      | run.yaml: schedule.kind must be one of [constant, linear, cosine, exponential, wsd], but is 'steps'
          series: {file: a.csv, target_columns: []} | run.yaml: series.target_columns ([]) must name at least one column, for example series.target_columns=[price]
          data: [1]                    | run.yaml: data must be a section of keys, but is [1]
          [1, 2]                       | run.yaml: expected sections such as training:, not a list
          word                         | run.yaml: expected sections such as training:, not a single value
          'training: {truncated_bptt: maybe}' | run.yaml: training.truncated_bptt must be true or false, but is "maybe"
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

  @Test
  void an_empty_section_is_a_section_of_defaults() {
    assertThat(with("optimizer:\nmodel:\nseries:\nsamples: {}\n")).isEqualTo(RunConfig.DEFAULT);
  }

  @Test
  void numbers_are_read_as_people_write_them() {
    RunConfig config =
        with(
            "optimizer: {learning_rate: 1e-3, weight_decay: 0}\ntraining: {steps: 1_000, seed: 0x10, truncated_bptt: yes}");
    assertThat(config.optimizer().learningRate()).isEqualTo(1e-3);
    assertThat(config.training().steps()).isEqualTo(1000);
    assertThat(config.training().seed()).isEqualTo(16);
    assertThat(config.training().truncatedBptt()).isTrue();
  }

  @Test
  void an_alias_is_refused_and_not_taken_for_a_word() {
    assertThatThrownBy(() -> with("data:\n  corpus: &text a.txt\n  validation: *text\n"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "run.yaml: line 3: anchors and aliases (& and *) are not read here; write the value out");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a: 1\n---\nb: 2", "training:\n\tsteps: 1", "training: {steps: 010x}"})
  void odd_yaml_is_one_line(String yaml) {
    assertThatThrownBy(() -> with(yaml))
        .isInstanceOf(InvalidInputException.class)
        .message()
        .startsWith("run.yaml: ")
        .hasLineCount(1);
  }

  @Test
  void a_section_needs_a_key_on_the_command_line() {
    var keys = RunConfigFile.parse("", "");
    assertThatThrownBy(() -> RunConfigFile.override(keys, List.of("optimizer=")))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "\"optimizer=\": optimizer is a section; give one of its keys, such as optimizer.learning_rate");
  }
}
