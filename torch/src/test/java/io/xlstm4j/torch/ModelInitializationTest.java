package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.BiasInit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// How large a model is, how its parameters start, and which of them decay (spec sections 1.4, 3
/// and 4).
class ModelInitializationTest {
  private static final String BLOCK = "xlstm_block_stack.blocks.";

  /// A model whose parameters have shapes and no memory.
  private static XlstmLanguageModel weightless(PaperModelConfig config) {
    Torch.load();
    var parameters = new Parameters(new Device("meta"), ScalarType.Float, Parameters.Start.EMPTY);
    return new XlstmLanguageModel(config, parameters);
  }

  @ParameterizedTest(name = "{0} blocks of width {1}, sLSTM at {2}")
  @CsvSource({
    "24, 768, '', 163806144",
    "48, 1024, '', 409290112",
    "48, 1536, '', 840427392",
    "48, 2048, '', 1422559616",
    "24, 768, '3 20', 163690928",
    "48, 1024, '3 5 7 40 42 44', 408436048",
    "48, 1536, '3 5 7 40 42 44', 839736144",
    "48, 2048, '3 5 7 40 42 44', 1420065104",
  })
  void the_models_of_the_paper_have_their_sizes(int blocks, int dim, String at, long expected) {
    List<Integer> slstmAt =
        at.isEmpty() ? List.of() : Arrays.stream(at.split(" ")).map(Integer::valueOf).toList();
    try (var _ = new PointerScope();
        var model =
            weightless(PaperModelConfig.of(50304, BlockStackConfig.of(blocks, dim, slstmAt)))) {
      assertThat(model.parameters().count()).isEqualTo(expected);
    }
  }

  @ParameterizedTest(name = "width {0}")
  @CsvSource({"64, 128", "128, 192", "768, 1024", "1024, 1344", "2048, 2688"})
  void the_feed_forward_rounds_its_width_up(int dim, int up) {
    try (var _ = new PointerScope();
        var model = weightless(PaperModelConfig.of(8, BlockStackConfig.of(1, dim, List.of(0))))) {
      Ops.expectShape(
          "up", parameter(model, BLOCK + "0.ffn.proj_up.weight"), "(2U, D)", 2L * up, dim);
      Ops.expectShape(
          "down", parameter(model, BLOCK + "0.ffn.proj_down.weight"), "(D, U)", dim, up);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void weight_decay_is_for_weights_that_are_no_norms(boolean onEmbedding) {
    var stack = BlockStackConfig.of(2, 64, List.of(1));
    var withBias =
        new BlockStackConfig(
            2, 64, 16, List.of(1), stack.mlstmBlock(), stack.slstmBlock(), true, true, 0.0);
    try (var _ = new PointerScope();
        var model = weightless(new PaperModelConfig(8, withBias, false, onEmbedding, false))) {
      var decayed =
          new ArrayList<>(
              List.of(
                  "0.xlstm.proj_up.weight",
                  "0.xlstm.conv1d.conv.weight",
                  "0.xlstm.q_proj.weight",
                  "0.xlstm.k_proj.weight",
                  "0.xlstm.v_proj.weight",
                  "0.xlstm.mlstm_cell.igate.weight",
                  "0.xlstm.mlstm_cell.fgate.weight",
                  "0.xlstm.proj_down.weight",
                  "1.xlstm.conv1d.conv.weight",
                  "1.xlstm.fgate.weight",
                  "1.xlstm.igate.weight",
                  "1.xlstm.zgate.weight",
                  "1.xlstm.ogate.weight",
                  "1.ffn.proj_up.weight",
                  "1.ffn.proj_down.weight"));
      decayed.replaceAll(name -> BLOCK + name);
      decayed.add("lm_head.weight");
      if (onEmbedding) {
        decayed.add("token_embedding.weight");
      }
      var kept =
          List.of(
              "0.xlstm_norm.weight",
              "0.xlstm.proj_up.bias",
              "0.xlstm.conv1d.conv.bias",
              "0.xlstm.q_proj.bias",
              "0.xlstm.mlstm_cell.igate.bias",
              "0.xlstm.mlstm_cell.fgate.bias",
              "0.xlstm.mlstm_cell.outnorm.weight",
              "0.xlstm.learnable_skip",
              "0.xlstm.proj_down.bias",
              "1.xlstm_norm.weight",
              "1.xlstm.conv1d.conv.bias",
              "1.xlstm.slstm_cell._recurrent_kernel_",
              "1.xlstm.slstm_cell._bias_",
              "1.xlstm.group_norm.weight",
              "1.ffn_norm.weight");
      List<String> names = List.copyOf(model.parameters().byName().keySet());
      assertThat(names.stream().filter(model::decays)).containsExactlyInAnyOrderElementsOf(decayed);
      assertThat(names).containsAll(kept.stream().map(name -> BLOCK + name).toList());
    }
  }

  @Test
  void parameters_are_drawn_with_the_spread_of_the_recipe() {
    int dim = 128;
    double small = Math.sqrt(2.0 / (5 * dim));
    double wang = 2.0 / 2 / Math.sqrt(dim);
    Torch.seed(4);
    try (var _ = new PointerScope();
        var model =
            new XlstmLanguageModel(
                PaperModelConfig.of(300, BlockStackConfig.of(2, dim, List.of(1))))) {
      assertNormal(model, "token_embedding.weight", small);
      assertNormal(model, "lm_head.weight", small);
      assertNormal(model, BLOCK + "0.xlstm.proj_up.weight", small);
      for (String projection : List.of("q", "k", "v")) {
        assertNormal(model, BLOCK + "0.xlstm." + projection + "_proj.weight", small);
      }
      assertNormal(model, BLOCK + "0.xlstm.proj_down.weight", wang);
      for (String gate : List.of("i", "f", "z", "o")) {
        assertNormal(model, BLOCK + "1.xlstm." + gate + "gate.weight", small);
      }
      assertNormal(model, BLOCK + "1.ffn.proj_up.weight", small);
      assertNormal(model, BLOCK + "1.ffn.proj_down.weight", wang);
      for (String name : List.of("0.xlstm.conv1d.conv.weight", "1.xlstm.conv1d.conv.weight")) {
        double[] values = values(model, BLOCK + name);
        assertThat(values).as(name).hasSizeGreaterThan(500);
        assertThat(Arrays.stream(values).map(Math::abs).max().orElseThrow())
            .as(name)
            .isBetween(0.49, 0.5);
        assertThat(std(values)).as(name).isCloseTo(0.5 / Math.sqrt(3), within(0.02));
      }
      for (String zeros :
          List.of(
              "0.xlstm_norm.weight",
              "0.xlstm.mlstm_cell.outnorm.weight",
              "0.xlstm.mlstm_cell.igate.weight",
              "0.xlstm.mlstm_cell.fgate.weight",
              "1.xlstm.group_norm.weight",
              "1.xlstm.slstm_cell._recurrent_kernel_",
              "1.ffn_norm.weight")) {
        assertThat(values(model, BLOCK + zeros)).as(zeros).containsOnly(0);
      }
      assertThat(values(model, "xlstm_block_stack.post_blocks_norm.weight")).containsOnly(0);
      assertThat(values(model, BLOCK + "0.xlstm.learnable_skip")).containsOnly(1);
      assertThat(values(model, BLOCK + "0.xlstm.mlstm_cell.fgate.bias"))
          .containsExactly(3, 4, 5, 6);
    }
  }

  @Test
  void input_gate_biases_of_mlstm_are_drawn_with_a_tenth() {
    int heads = 128;
    var stack =
        new BlockStackConfig(
            1,
            128,
            16,
            List.of(),
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(heads)),
            null,
            true,
            false,
            0.0);
    Torch.seed(5);
    try (var _ = new PointerScope();
        var model = new XlstmLanguageModel(PaperModelConfig.of(8, stack))) {
      double[] bias = values(model, BLOCK + "0.xlstm.mlstm_cell.igate.bias");
      assertThat(bias).hasSize(heads);
      assertThat(std(bias)).isCloseTo(0.1, within(0.1 * 5 / Math.sqrt(2.0 * heads)));
    }
  }

  private static double[] values(XlstmLanguageModel model, String name) {
    return Tensors.doubles(parameter(model, name));
  }

  private static Tensor parameter(XlstmLanguageModel model, String name) {
    return Objects.requireNonNull(model.parameters().byName().get(name), name);
  }

  private static double std(double[] values) {
    double mean = Arrays.stream(values).average().orElseThrow();
    return Math.sqrt(
        Arrays.stream(values).map(x -> (x - mean) * (x - mean)).average().orElseThrow());
  }

  /// Mean and standard deviation within five sampling errors.
  private static void assertNormal(XlstmLanguageModel model, String name, double std) {
    double[] values = values(model, name);
    double n = values.length;
    assertThat(Arrays.stream(values).average().orElseThrow())
        .as("mean of " + name)
        .isCloseTo(0, within(5 * std / Math.sqrt(n)));
    assertThat(std(values)).as(name).isCloseTo(std, within(5 * std / Math.sqrt(2 * n)));
  }

  @ParameterizedTest(name = "block {0} of {1}")
  @CsvSource({"0, 1", "0, 3", "1, 3", "2, 3"})
  void forget_biases_fall_from_five_to_minus_seven(int block, int blocks) {
    try (var _ = new PointerScope()) {
      int dim = 6;
      double[] bias =
          Tensors.doubles(
              Init.slstmBias(BiasInit.POWERLAW_BLOCKDEPENDENT, 2, dim, block, blocks)
                  .create(2L * 4 * dim));
      double ratio = blocks == 1 ? 0 : (double) block / (blocks - 1);
      for (int head = 0; head < 2; head++) {
        for (int gate = 0; gate < 4; gate++) {
          for (int d = 0; d < dim; d++) {
            double expected = gate == 1 ? 5 - 12 * Math.pow(d / (dim - 1.0), 0.3 + 1.3 * ratio) : 0;
            assertThat(bias[(head * 4 + gate) * dim + d]).isCloseTo(expected, within(1e-6));
          }
        }
        assertThat(bias[(head * 4 + 1) * dim]).isEqualTo(5);
        assertThat(bias[(head * 4 + 1) * dim + dim - 1]).isEqualTo(-7);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void biases_of_one_unit_per_head_are_finite(BiasInit kind) {
    try (var _ = new PointerScope()) {
      Tensor bias = Init.slstmBias(kind, 4, 1, 1, 2).create(16);
      Gradients.assertFinite(kind.toString(), bias);
    }
  }

  @Test
  void other_biases_start_as_the_recipe_says() {
    try (var _ = new PointerScope()) {
      double[] small = Tensors.doubles(Init.slstmBias(BiasInit.SMALL_INIT, 2, 4, 0, 1).create(32));
      assertThat(Arrays.copyOfRange(small, 4, 8)).containsExactly(3, 4, 5, 6);
      assertThat(Arrays.copyOfRange(small, 20, 24)).containsExactly(3, 4, 5, 6);
      assertThat(Arrays.stream(small).filter(x -> x != 0)).hasSize(8);
      double[] zeros = Tensors.doubles(Init.slstmBias(BiasInit.ZEROS, 2, 4, 0, 1).create(32));
      assertThat(zeros).containsOnly(0);
      Torch.seed(1);
      double[] standard =
          Tensors.doubles(Init.slstmBias(BiasInit.STANDARD, 4, 64, 0, 1).create(1024));
      double bound = 1 / 16.0; // one over the root of 256 units
      assertThat(Arrays.stream(standard).map(Math::abs).max().orElseThrow())
          .isBetween(0.98 * bound, bound);
    }
  }

  @Test
  void a_seed_makes_the_same_model_again_and_another_seed_another() {
    var config =
        PaperModelConfig.of(
            20,
            new BlockStackConfig(
                2,
                32,
                16,
                List.of(1),
                MlstmBlockConfig.DEFAULT,
                new SlstmBlockConfig(SlstmLayerConfig.DEFAULT, null),
                true,
                false,
                0.0));
    Torch.seed(7);
    try (var first = new XlstmLanguageModel(config)) {
      Torch.seed(7);
      try (var same = new XlstmLanguageModel(config)) {
        Torch.seed(8);
        try (var other = new XlstmLanguageModel(config)) {
          for (String name : first.parameters().byName().keySet()) {
            assertThat(values(same, name)).as(name).containsExactly(values(first, name));
          }
          assertThat(values(other, "lm_head.weight")).isNotEqualTo(values(first, "lm_head.weight"));
        }
      }
    }
  }
}
