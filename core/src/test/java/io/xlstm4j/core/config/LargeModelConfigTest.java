package io.xlstm4j.core.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LargeModelConfigTest {
  private static final String SIZES =
      "\"vocab_size\": 50, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_heads\": 4";

  private static LargeModelConfig huggingFace(String more) {
    String json = "{\"model_type\": \"xlstm\", " + more + "}";
    return (LargeModelConfig) CheckpointConfig.parse(json, "config.json").model();
  }

  private static LargeModelConfig official(String yaml) {
    return (LargeModelConfig) CheckpointConfig.parseOfficial(yaml, "config.yaml").model();
  }

  private static LargeModelConfig withFactor(int dim, double factor) {
    return huggingFace(
        "\"vocab_size\": 8, \"hidden_size\": %d, \"num_hidden_layers\": 1, \"num_heads\": 1, \"ffn_proj_factor\": %s"
            .formatted(dim, factor));
  }

  /// Spec section 11, item 6: no true ceiling.
  @ParameterizedTest(name = "D {0} gives U {1}")
  @CsvSource({
    "384, 1024",
    "512, 1408",
    "768, 2048",
    "1024, 2752",
    "1536, 4096",
    "2048, 5504",
    "4096, 10944"
  })
  void rounds_the_width_of_the_feed_forward_as_the_official_code_does(int dim, int width) {
    assertThat(withFactor(dim, 2.6667).ffnDim()).isEqualTo(width);
  }

  /// Values of Python's `int(((D * factor + 63) // 64) * 64)`.
  @ParameterizedTest(name = "D {0} x {1} gives U {2}")
  @CsvSource({
    "1, 64, 64",
    "1, 0.5, 0",
    "1, 1.5, 64",
    "64, 1, 64",
    "64, 1.0001, 64",
    "64, 1.02, 128",
    "768, 2.667, 2048",
    "128, 2.667, 384",
    "10, 0.1, 64",
    "3, 0.3333333333333333, 64"
  })
  void rounds_as_python_divides(int dim, double factor, int width) {
    if (width == 0) {
      assertThatThrownBy(() -> LargeWidth.feedForward(factor, dim, 64))
          .hasMessageContaining("not a usable width");
    } else {
      assertThat(LargeWidth.feedForward(factor, dim, 64)).isEqualTo(width);
    }
  }

  @Test
  void truncates_the_widths_of_queries_and_values() {
    var config =
        huggingFace(
            "\"vocab_size\": 8, \"hidden_size\": 30, \"num_hidden_layers\": 1, \"num_heads\": 2, \"qk_dim_factor\": 0.29, \"v_dim_factor\": 0.54");

    assertThat(config.qkDim()).isEqualTo(8); // 8.7
    assertThat(config.vDim()).isEqualTo(16); // 16.2
    assertThat(config.qkHeadDim()).isEqualTo(4);
    assertThat(config.vHeadDim()).isEqualTo(8);
  }

  @Test
  void takes_either_name_of_a_size() {
    assertThat(huggingFace(SIZES))
        .isEqualTo(
            huggingFace(
                "\"vocab_size\": 50, \"embedding_dim\": 64, \"num_blocks\": 2, \"num_heads\": 4"))
        .isEqualTo(huggingFace(SIZES + ", \"embedding_dim\": null"))
        .isEqualTo(LargeModelConfig.of(50, 64, 2, 4));
  }

  @Test
  void the_two_formats_differ_in_the_default_of_the_feed_forward() {
    String sizes = "vocab_size: 50\nembedding_dim: 64\nnum_blocks: 2\nnum_heads: 4\n";

    assertThat(huggingFace(SIZES).ffnProjFactor()).isEqualTo(2.667);
    assertThat(official(sizes).ffnProjFactor()).isEqualTo(2.6667);
    assertThat(official(sizes + "ffn_proj_factor: 3\nmode: train\nstep_kernel: triton\n"))
        .isEqualTo(huggingFace(SIZES + ", \"ffn_proj_factor\": 3.0, \"weight_mode\": \"single\""));
  }

  @Test
  void reads_what_it_wrote() {
    var config =
        new LargeModelConfig(
            70,
            48,
            3,
            2,
            true,
            0.25,
            0.75,
            1.5,
            16,
            7.5,
            20.0,
            false,
            1e-5,
            false,
            1e-6,
            32,
            99,
            WeightMode.FUSED,
            true,
            3,
            List.of(4, 5),
            6);

    var there = new CheckpointConfig(config, "bytes");
    assertThat(CheckpointConfig.parse(there.toJson("bfloat16"), "config.json")).isEqualTo(there);

    var simple = huggingFace(SIZES + ", \"eos_token_id\": 7");
    assertThat(simple.eosTokenIds()).containsExactly(7);
    var back = new CheckpointConfig(simple, null);
    assertThat(back.toJson()).contains("\"eos_token_id\" : 7,");
    assertThat(CheckpointConfig.parse(back.toJson(), "config.json")).isEqualTo(back);
    assertThat(official(back.toOfficialYaml())).isEqualTo(LargeModelConfig.of(50, 64, 2, 4));
  }

  @Test
  void passes_over_keys_of_other_versions() {
    assertThat(huggingFace(SIZES + ", \"torch_dtype\": \"bfloat16\", \"add_qk_norm\": false"))
        .isEqualTo(huggingFace(SIZES));
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "\"num_heads\": 4 | vocab_size is missing",
        "\"vocab_size\": 5, \"num_heads\": 1, \"num_blocks\": 1 | embedding_dim is missing",
        "SIZES, \"embedding_dim\": 65 | embedding_dim (65) and hidden_size (64) are two names",
        "SIZES, \"num_blocks\": 3 | num_blocks (3) and num_hidden_layers (2) are two names",
        "SIZES, \"gate_soft_kap\": 3 | unknown key gate_soft_kap; did you mean gate_soft_cap?",
        "SIZES, \"use_bias\": \"no\" | use_bias must be true or false, but is \"no\"",
        "SIZES, \"weight_mode\": \"both\" | weight_mode",
        "SIZES, \"eos_token_id\": [1, 2.5] | eos_token_id must be a whole number, a list",
        "SIZES, \"eos_token_id\": 50 | eos_token_id (50) must be in [0, vocab_size (50))",
        "SIZES, \"gate_soft_cap\": 0 | gate_soft_cap (0.0) must be positive",
        "SIZES, \"eps\": 1e-5 | eps (1.0E-5) must be 1.0E-6",
        "SIZES, \"gate_soft_cap\": 1e999 | gate_soft_cap (Infinity) must be positive and finite",
        "SIZES, \"qk_dim_factor\": 0.55 | num_heads (4) must divide query/key width (35)",
        "SIZES, \"v_dim_factor\": 1e9 | v_dim_factor (1.0E9) times embedding_dim (64)",
        "SIZES, \"ffn_proj_factor\": 1e300 | ffn_proj_factor (1.0E300) times embedding_dim (64)",
        "SIZES, \"ffn_round_up_to_multiple_of\": 0 | ffn_round_up_to_multiple_of (0) must be positive"
      })
  void refuses_in_one_line(String keys, String message) {
    assertThatThrownBy(() -> huggingFace(keys.replace("SIZES", SIZES)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("config.json: ")
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "2147483647 | 536870912 | 1 | 1 | vocab_size (2147483647) times embedding_dim (536870912)",
        "8 | 536870912 | 1 | 1 | times embedding_dim (536870912)",
        "8 | 64 | 4097 | 1 | num_blocks (4097) must be at most 4096",
        "8 | 64 | 1 | 0 | num_heads (0) must be positive",
        "8 | 99999999999 | 1 | 1 | 99999999999"
      })
  void refuses_sizes_that_no_machine_holds(
      String vocab, String dim, String blocks, String heads, String message) {
    assertThatThrownBy(() ->
            huggingFace(
                "\"vocab_size\": %s, \"hidden_size\": %s, \"num_blocks\": %s, \"num_heads\": %s"
                    .formatted(vocab, dim, blocks, heads)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @ParameterizedTest
  @ValueSource(strings = {"\"llama\"", "7", "null", "[]", "{\"a\": 1}"})
  void refuses_another_architecture(String type) {
    assertThatThrownBy(
            () -> CheckpointConfig.parse("{\"model_type\": " + type + "}", "config.json"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "config.json: model_type is "
                + type.replace(" ", "")
                + ", must be one of [xlstm_paper, xlstm]");
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "- 1 | expected keys and values at the top",
        "a: [1 | not YAML",
        "vocab_size: 5 | embedding_dim is missing",
        "sizes, tie_word_embeddings: true | unknown key tie_word_embeddings",
        "sizes, hidden_size: 4 | unknown key hidden_size",
        "sizes, num_heads: 4 | not YAML"
      })
  void refuses_a_wrong_official_file_in_one_line(String yaml, String message) {
    String sizes = "vocab_size: 50\nembedding_dim: 64\nnum_blocks: 2\nnum_heads: 4\n";
    assertThatThrownBy(() -> official(yaml.replace("sizes, ", sizes)))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("config.yaml: ")
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void a_file_that_was_cut_short_is_told_by_line_and_column_alone() {
    assertThatThrownBy(() -> CheckpointConfig.parse("{\n  \"model_type\": {", "config.json"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "config.json: not JSON: Unexpected end-of-input: expected close marker for Object"
                + " (line 2, column 18)");
  }
}
