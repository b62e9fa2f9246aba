package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.randn;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Projections in bfloat16 against the same models in float32.
class PrecisionTest {
  private static final int VOCABULARY = 40;

  private static XlstmLanguageModel model(String family) {
    Torch.seed(1);
    ModelConfig config =
        family.equals("large")
            ? LargeModelConfig.of(VOCABULARY, 32, 3, 2)
            : PaperModelConfig.of(VOCABULARY, BlockStackConfig.of(3, 32, List.of(1)));
    var model = new XlstmLanguageModel(config);
    model.backend(Backend.LIBTORCH);
    return model;
  }

  private static ScalarType type(Tensor x) {
    return x.scalar_type().intern();
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"paper", "large"})
  void the_loss_is_close_to_that_of_float32(String family) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var model = model(family)) {
      Tensor ids = Tensors.of(Draws.float64(2).ids(3 * 70, VOCABULARY), 3, 70);
      Tensor wide = model.forward(ids);
      model.precision(Precision.BFLOAT16);
      Tensor narrow = model.forward(ids);
      assertThat(type(narrow)).isEqualTo(ScalarType.Float);
      // bfloat16 rounds to 8 bits, an error of 2^-9 of each factor; a dozen roundings in a row,
      // some
      // of which cancel in the mean over 210 positions
      assertThat(Losses.crossEntropy(narrow, ids).item_double())
          .isCloseTo(Losses.crossEntropy(wide, ids).item_double(), within(12 * Math.pow(2, -9)));
      assertThat(Golden.largestDifference(narrow, wide)).as("it does round").isGreaterThan(1e-6);
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"paper", "large"})
  void parameters_states_and_gradients_are_float32_and_the_gradients_close(String family) {
    try (var _ = new PointerScope();
        var model = model(family)) {
      Tensor ids = Tensors.of(Draws.float64(3).ids(2 * 33, VOCABULARY), 2, 33);
      var norms = new ArrayList<double[]>(); // float32 first
      for (Precision precision : List.of(Precision.FLOAT32, Precision.BFLOAT16)) {
        model.precision(precision);
        model.parameters().zeroGradients();
        var loss = model.loss(ids, ids, model.initialState(2), SequenceLayout.FULL);
        assertThat(type(loss.value())).isEqualTo(ScalarType.Float);
        assertThat(loss.state().tensors()).allMatch(part -> type(part) == ScalarType.Float);
        loss.value().backward();
        norms.add(
            model.parameters().byName().entrySet().stream()
                .mapToDouble(parameter -> {
                  Tensor gradient = parameter.getValue().grad();
                  assertThat(type(parameter.getValue())).isEqualTo(ScalarType.Float);
                  assertThat(type(gradient)).as(parameter.getKey()).isEqualTo(ScalarType.Float);
                  Gradients.assertFinite(parameter.getKey(), gradient);
                  return gradient.norm().item_double();
                })
                .toArray());
      }
      double wide = length(norms.getFirst());
      assertThat(length(norms.getLast())).isCloseTo(wide, within(0.02 * wide)); // a few times 2^-8
    }
  }

  private static double length(double[] x) {
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    return Math.sqrt(squares);
  }

  @Test
  void input_and_forget_gates_are_projected_in_float32() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard();
        var parameters = Parameters.onCpu()) {
      var config = LargeModelConfig.of(VOCABULARY, 32, 1, 2);
      var projections = LargeProjections.create(parameters.at("layer"), config);
      parameters.byName().values().forEach(p -> p.copy_(randn(Ops.shape(p))));
      Tensor x = randn(2, 5, 32);
      LargeProjections.Projected wide = projections.of(x, x);
      LargeProjections.Projected mixed = projections.of(x, x.to(ScalarType.BFloat16));
      for (Tensor projected : List.of(mixed.q(), mixed.k(), mixed.v(), mixed.o())) {
        assertThat(type(projected)).isEqualTo(ScalarType.BFloat16);
      }
      Golden.assertClose("i", mixed.i(), wide.i(), 0);
      Golden.assertClose("f", mixed.f(), wide.f(), 0);
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"paper", "large"})
  void training_lowers_the_loss_also_with_recomputed_blocks(String family) {
    double[] last = new double[2];
    for (boolean recompute : new boolean[] {false, true}) {
      try (var _ = new PointerScope();
          var model = model(family)) {
        model.precision(Precision.BFLOAT16);
        model.activationCheckpointing(recompute);
        Tensor ids = Tensors.of(Draws.float64(4).ids(2 * 17, VOCABULARY), 2, 17);
        double first = step(model, ids);
        for (int i = 0; i < 40; i++) {
          last[recompute ? 1 : 0] = step(model, ids);
        }
        assertThat(last[recompute ? 1 : 0]).isLessThan(0.7 * first);
      }
    }
    assertThat(last[1]).isEqualTo(last[0]);
  }

  private static double step(XlstmLanguageModel model, Tensor ids) {
    try (var _ = new PointerScope()) {
      model.parameters().zeroGradients();
      Tensor inputs = ids.narrow(1, 0, 16);
      Tensor loss = Losses.crossEntropy(model.forward(inputs), ids.narrow(1, 1, 16));
      loss.backward();
      try (var _ = new NoGradGuard()) {
        for (Tensor parameter : model.parameters().byName().values()) {
          parameter.sub_(Ops.times(parameter.grad(), 0.1));
        }
      }
      return loss.item_double();
    }
  }

  @Test
  void the_fused_kernels_refuse_it_and_say_what_to_do() {
    try (var _ = new PointerScope();
        var model = model("paper")) {
      model.backend(Backend.FUSED);
      model.precision(Precision.BFLOAT16);
      Tensor ids = Tensors.of(new int[] {1, 2}, 1, 2);
      assertThatThrownBy(() -> model.forward(ids))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(
              "precision bfloat16 needs backend libtorch or a GPU;"
                  + " backend fused is float32 on the CPU");
    }
  }

  @Test
  void other_than_float32_parameters_are_refused() {
    try (var _ = new PointerScope();
        var model =
            new XlstmLanguageModel(
                LargeModelConfig.of(VOCABULARY, 32, 1, 2),
                Torch.device("cpu"),
                ScalarType.Double)) {
      model.precision(Precision.BFLOAT16);
      Tensor ids = Tensors.of(new int[] {1, 2}, 1, 2);
      assertThatThrownBy(() -> model.forward(ids))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("needs float32 parameters, but these are Double");
    }
  }
}
