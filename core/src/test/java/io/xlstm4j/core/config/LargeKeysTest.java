package io.xlstm4j.core.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Every key of Hugging Face's `config.json`, each alone at another value: it is used, changes
/// nothing, or is refused by its name. The table of `docs/checkpoint-format.md`.
class LargeKeysTest {
  private static final String SIZES =
      "\"vocab_size\": 50, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_heads\": 4";

  private static CheckpointConfig read(String more) {
    return CheckpointConfig.parse(
        "{\"model_type\": \"xlstm\", " + SIZES + more + "}", "config.json");
  }

  private static CheckpointConfig with(String key, String value) {
    String pair = "\"" + key + "\": " + value;
    return SIZES.contains("\"" + key + "\"")
        ? CheckpointConfig.parse(
            "{\"model_type\": \"xlstm\", "
                + SIZES.replaceFirst("\"" + key + "\": [0-9]+", pair)
                + "}",
            "config.json")
        : read(", " + pair);
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "vocab_size | 51",
        "hidden_size | 128",
        "num_hidden_layers | 3",
        "num_heads | 2",
        "use_bias | true",
        "norm_reduction_force_float32 | false",
        "tie_word_embeddings | true",
        "add_out_norm | false",
        "norm_eps | 1e-5",
        "qk_dim_factor | 1.0",
        "v_dim_factor | 0.5",
        "ffn_proj_factor | 1.5",
        "ffn_round_up_to_multiple_of | 32",
        "gate_soft_cap | 10",
        "output_logit_soft_cap | 20",
        "weight_mode | \"fused\"",
        "chunk_size | 32",
        "bos_token_id | 3",
        "eos_token_id | 3",
        "eos_token_id | [3, 4]",
        "pad_token_id | 3",
        "add_bos_token | true"
      })
  void is_used(String key, String value) {
    CheckpointConfig changed = with(key, value);
    assertThat(changed).isNotEqualTo(read(""));
    assertThat(CheckpointConfig.parse(changed.toJson(), "config.json")).isEqualTo(changed);
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "embedding_dim | 64",
        "num_blocks | 2",
        "chunkwise_kernel | \"chunkwise--triton_xl_chunk\"",
        "chunkwise_kernel | \"parallel--native_stablef_autograd\"",
        "sequence_kernel | \"native_sequence__triton\"",
        "step_kernel | \"triton\"",
        "mode | \"train\"",
        "mode | \"train_with_padding\"",
        "return_last_states | false",
        "autocast_kernel_dtype | \"bfloat16\"",
        "inference_state_dtype | \"bfloat16\"",
        "max_inference_chunksize | 1",
        "use_cache | false",
        "add_embedding_dropout | true",
        "add_qk_norm | false",
        "add_post_norm | false",
        "add_post_blocks_norm | true",
        "quantization_config | null",
        "architectures | [\"xLSTMModel\"]",
        "dtype | \"bfloat16\"",
        "torch_dtype | \"float16\"",
        "transformers_version | \"4.1\"",
        "eps | 1e-6"
      })
  void changes_nothing(String key, String value) {
    assertThat(with(key, value)).isEqualTo(read(""));
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      value = {
        "eps | 1e-5 | 1.0E-5 | 1.0E-6",
        "eps | 0 | 0.0 | 1.0E-6",
        "chunkwise_kernel | \"chunkwise--triton_xl_chunk_siging\" | siging | exponential input gate",
        "sequence_kernel | \"native_sequence__siging\" | siging | exponential input gate",
        "step_kernel | \"native_siging\" | siging | exponential input gate",
        "step_kernel | 3 | 3 | \"native\"",
        "mode | \"generate\" | \"generate\" | train_with_padding",
        "autocast_kernel_dtype | \"float64\" | float64 | bfloat16",
        "inference_state_dtype | 32 | 32 | bfloat16",
        "return_last_states | \"no\" | no | true or false",
        "add_qk_norm | true | true | false",
        "add_post_norm | true | true | false",
        "add_post_blocks_norm | false | false | true",
        "quantization_config | {\"quant_method\": \"fp8\"} | fp8 | null",
        "weight_mode | \"both\" | both | fused",
        "gate_soft_cap | null | gate_soft_cap | a value",
        "add_bos_token | \"yes\" | yes | true or false",
        "embedding_dim | 65 | 65 | 64",
        "num_blocks | 3 | 3 | 2"
      })
  void is_refused_by_name_with_both_values(String key, String value, String given, String right) {
    assertThatThrownBy(() -> with(key, value))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("config.json: ")
        .hasMessageContaining(key)
        .hasMessageContaining(given)
        .hasMessageContaining(right)
        .hasMessageNotContaining("\n");
  }
}
