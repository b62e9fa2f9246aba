package io.xlstm4j.core.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Every key of the official configuration of the paper family, each alone at another value.
class PaperKeysTest {
  private static CheckpointConfig read(String more) {
    return CheckpointConfig.parse(
        "{\"model_type\": \"xlstm_paper\", \"vocab_size\": 50, \"num_blocks\": 2,"
            + " \"embedding_dim\": 64"
            + more
            + "}",
        "config.json");
  }

  private static String pair(String path, String value) {
    String[] keys = path.split("\\.", -1);
    var json = new StringBuilder(value);
    for (int i = keys.length - 1; i >= 0; i--) {
      json.insert(0, "\"" + keys[i] + "\": ");
      if (i > 0) {
        json.insert(0, "{").append("}");
      }
    }
    return ", " + json;
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "context_length | 99",
        "add_post_blocks_norm | false",
        "bias | true",
        "dropout | 0.5",
        "slstm_at | [1]",
        "slstm_at | \"all\"",
        "tie_weights | true",
        "weight_decay_on_embedding | true",
        "add_embedding_dropout | true",
        "mlstm_block.mlstm.conv1d_kernel_size | 3",
        "mlstm_block.mlstm.qkv_proj_blocksize | 8",
        "mlstm_block.mlstm.num_heads | 2",
        "mlstm_block.mlstm.proj_factor | 1.5",
        "mlstm_block.mlstm.round_proj_up_dim_up | false",
        "mlstm_block.mlstm.round_proj_up_to_multiple_of | 32",
        "slstm_block.slstm.num_heads | 2",
        "slstm_block.slstm.conv1d_kernel_size | 0",
        "slstm_block.slstm.group_norm_weight | false",
        "slstm_block.slstm.backend | \"vanilla\"",
        "slstm_block.slstm.function | \"lstm\"",
        "slstm_block.slstm.bias_init | \"zeros\"",
        "slstm_block.slstm.recurrent_weight_init | \"standard\"",
        "slstm_block.slstm.gradient_recurrent_cut | true",
        "slstm_block.slstm.gradient_recurrent_clipval | 1.5",
        "slstm_block.slstm.forward_clipval | 1.5",
        "slstm_block.feedforward.proj_factor | 2.0",
        "slstm_block.feedforward.act_fn | \"swish\"",
        "slstm_block.feedforward.bias | true",
        "slstm_block.feedforward.dropout | 0.5",
        "slstm_block.feedforward.round_proj_up_dim_up | false",
        "slstm_block.feedforward.round_proj_up_to_multiple_of | 32",
        "slstm_block.feedforward | null",
        "eos_token_id | [3, 4]",
        "add_bos_token | true",
        "tokenizer | \"bytes\""
      })
  void is_used(String path, String value) {
    CheckpointConfig changed = read(pair(path, value));
    assertThat(changed).isNotEqualTo(read(""));
    assertThat(CheckpointConfig.parse(changed.toJson(), "config.json")).isEqualTo(changed);
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "mlstm_block._num_blocks | 7",
        "mlstm_block.mlstm.embedding_dim | 64",
        "mlstm_block.mlstm.context_length | 9",
        "mlstm_block.mlstm.bias | true",
        "mlstm_block.mlstm.dropout | 0.5",
        "slstm_block._block_idx | 7",
        "slstm_block.slstm.hidden_size | 64",
        "slstm_block.slstm.batch_size | 1",
        "slstm_block.slstm.num_states | 2",
        "slstm_block.slstm.dtype | \"float16\"",
        "slstm_block.slstm.dtype_r | null",
        "slstm_block.slstm.constants | {}",
        "slstm_block.slstm.initial_val | 0.5",
        "slstm_block.slstm.enable_automatic_mixed_precision | false",
        "slstm_block.feedforward.ff_type | \"ffn_gated\"",
        "slstm_block.feedforward.embedding_dim | 64"
      })
  void changes_nothing(String path, String value) {
    assertThat(read(pair(path, value))).isEqualTo(read(""));
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "slstm_block.feedforward.ff_type | \"ffn\" | slstm_block.feedforward.ff_type",
        "slstm_block.slstm.function | \"gru\" | function must be one of",
        "slstm_block.feedforward.act_fn | \"tanh\" | act_fn",
        "mlstm_block.mlstm.headdim | 3 | unknown key mlstm_block.mlstm.headdim",
        "hidden_size | 64 | unknown key hidden_size",
        "eos_token_id | 50 | eos_token_id (50) must be in [0, vocab_size (50))",
        "eos_token_id | \"a\" | eos_token_id must be a whole number",
        "slstm_at | \"none\" | slstm_at must be a list",
        "num_blocks | 3 | Duplicate",
        "embedding_dim | 1 | Duplicate",
        "context_length | 99999999999999999999 | context_length must be a smaller number",
        "context_length | -5 | -5",
        "dropout | 1e999 | dropout"
      })
  void is_refused_by_name(String path, String value, String message) {
    assertThatThrownBy(() -> read(pair(path, value)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("config.json: ")
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"{\"a\":", "["})
  void deep_nesting_is_refused_in_constant_stack(String open) {
    for (int depth : new int[] {1_000, 100_000}) {
      assertThatThrownBy(() -> read(", \"dropout\": " + open.repeat(depth)))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageStartingWith("config.json: ")
          .hasMessageNotContaining("\n");
      assertThatThrownBy(
              () -> CheckpointConfig.parseOfficial("a: " + "[".repeat(depth), "config.yaml"))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageStartingWith("config.yaml: ");
    }
  }

  @Test
  void numbers_of_many_digits_are_refused() {
    assertThatThrownBy(() -> read(", \"dropout\": " + "1".repeat(100_000)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageNotContaining("\n")
        .satisfies(e -> assertThat(String.valueOf(e.getMessage())).hasSizeLessThan(500));
  }
}
