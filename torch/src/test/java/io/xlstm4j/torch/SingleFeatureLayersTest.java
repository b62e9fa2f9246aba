package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.mse_loss;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleSupplier;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Adam;
import org.bytedeco.pytorch.AdamOptions;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// [Slstm] and [Mlstm] where a norm would be one over a single number.
class SingleFeatureLayersTest {
  private static final int BATCH = 2;
  private static final int LENGTH = 6;

  /// Either layer as a function of a sequence from the zero state.
  private record Layer(Parameters parameters, Function<Backend, Function<Tensor, Tensor>> on)
      implements AutoCloseable {
    static Layer of(String kind, int width, int headDim, Parameters parameters) {
      Torch.seed(3);
      if (kind.equals("slstm")) {
        var layer = new Slstm(width, headDim, 2, 4.0 / 3, 4, parameters);
        return new Layer(
            parameters,
            backend -> {
              layer.backend(backend);
              return x -> layer.forward(x, layer.initialState(x.size(0))).output();
            });
      }
      var layer = new Mlstm(width, headDim, 2, 2.0, 4, parameters);
      return new Layer(
          parameters,
          backend -> {
            layer.backend(backend);
            return x -> layer.forward(x, layer.initialState(x.size(0))).output();
          });
    }

    Tensor loss(Backend backend, Tensor x) {
      return on.apply(backend).apply(x).square().sum();
    }

    @Override
    public void close() {
      parameters.close();
    }
  }

  private static Parameters doubles() {
    return new Parameters(Torch.device("cpu"), ScalarType.Double);
  }

  /// Away from the initial zeros of the recurrent kernel and the biases.
  private static void shake(Parameters parameters, Draws draws) {
    try (var _ = new NoGradGuard()) {
      parameters.byName().values().forEach(p -> p.add_(draws.normal(0.2, Ops.shape(p)).type_as(p)));
    }
  }

  @ParameterizedTest(name = "{0} of width {1}, heads of {2}")
  @CsvSource({"slstm, 1, 3", "mlstm, 1, 3", "slstm, 3, 1", "mlstm, 3, 1"})
  void every_gradient_is_that_of_finite_differences(String kind, int width, int headDim) {
    try (var _ = new PointerScope();
        var layer = Layer.of(kind, width, headDim, doubles())) {
      var draws = Draws.float64(width);
      shake(layer.parameters, draws);
      Tensor x = draws.normal(1, BATCH, LENGTH, width);
      layer.loss(Backend.LIBTORCH, x).backward();
      DoubleSupplier loss =
          () -> {
            try (var _ = new PointerScope();
                var _ = new NoGradGuard()) {
              return layer.loss(Backend.LIBTORCH, x).item_double();
            }
          };
      double step = 1e-6;
      double largest = 0;
      for (Map.Entry<String, Tensor> entry : layer.parameters.byName().entrySet()) {
        Tensor p = entry.getValue();
        double[] gradient = Tensors.doubles(Gradients.of(p));
        MemorySegment memory = Tensors.memory(p, p.numel() * Double.BYTES);
        for (int i = 0; i < gradient.length; i += 5) {
          double at = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
          memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at + step);
          double above = loss.getAsDouble();
          memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at - step);
          double below = loss.getAsDouble();
          memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at);
          assertThat(gradient[i])
              .as("%s[%d]", entry.getKey(), i)
              .isCloseTo((above - below) / (2 * step), within(1e-6));
          largest = Math.max(largest, Math.abs(gradient[i]));
        }
      }
      assertThat(largest).isGreaterThan(0.1);
    }
  }

  @ParameterizedTest(name = "{0} of width {1}, heads of {2}")
  @CsvSource({"slstm, 1, 3", "mlstm, 1, 3", "slstm, 3, 1", "mlstm, 3, 1"})
  void the_kernels_give_what_libtorch_gives(String kind, int width, int headDim) {
    try (var _ = new PointerScope();
        var layer = Layer.of(kind, width, headDim, Parameters.onCpu())) {
      var draws = new Draws(width, ScalarType.Float);
      shake(layer.parameters, draws);
      Tensor x = draws.normal(1, BATCH, LENGTH, width);
      Map<String, Tensor> fused = pass(layer, Backend.FUSED, x);
      Map<String, Tensor> libtorch = pass(layer, Backend.LIBTORCH, x);
      double scale = libtorch.values().stream().mapToDouble(Gradients::largest).max().orElseThrow();
      assertThat(fused.keySet()).isEqualTo(libtorch.keySet());
      fused.forEach((name, value) ->
          Golden.assertClose(name, value, Ops.present(libtorch.get(name)), 1e-5 * scale));
    }
  }

  private static Map<String, Tensor> pass(Layer layer, Backend backend, Tensor x) {
    layer.parameters.zeroGradients();
    Tensor output = layer.on.apply(backend).apply(x);
    output.square().sum().backward();
    var all = new LinkedHashMap<String, Tensor>();
    all.put("output", output.detach());
    layer.parameters.byName().forEach((name, p) -> all.put(name, Gradients.of(p).clone()));
    return all;
  }

  @ParameterizedTest
  @ValueSource(strings = {"slstm", "mlstm"})
  void a_layer_of_one_feature_learns_a_sine(String kind) {
    try (var _ = new PointerScope();
        var layer = Layer.of(kind, 1, 8, Parameters.onCpu())) {
      double[] wave = new double[4 * 41];
      for (int i = 0; i < wave.length; i++) {
        wave[i] = Math.sin(i % 41 * 0.3 + i * 0.024);
      }
      Tensor all = Tensors.of(wave, 4, 41, 1).to(ScalarType.Float);
      Tensor x = all.narrow(1, 0, 40);
      Tensor next = all.narrow(1, 1, 40);
      var weights = new TensorVector(layer.parameters.byName().values().toArray(Tensor[]::new));
      var adam = new Adam(weights, new AdamOptions(0.02));
      var losses = new ArrayList<Double>();
      for (int step = 0; step < 40; step++) {
        try (var _ = new PointerScope()) {
          adam.zero_grad();
          Tensor loss = mse_loss(layer.on.apply(Backend.FUSED).apply(x), next);
          loss.backward();
          adam.step();
          losses.add(loss.item_double());
        }
      }
      assertThat(losses.getLast()).isLessThan(0.3 * losses.getFirst());
    }
  }

  @Test
  void steps_equal_the_sequence() {
    try (var _ = new PointerScope();
        var slstm = new Slstm(1, 4, 2);
        var mlstm = new Mlstm(1, 4, 2)) {
      Tensor x = new Draws(2, ScalarType.Float).normal(1, BATCH, LENGTH, 1);
      Slstm.State s = slstm.initialState(BATCH);
      Mlstm.State m = mlstm.initialState(BATCH);
      var ofSlstm = new ArrayList<Tensor>();
      var ofMlstm = new ArrayList<Tensor>();
      for (int t = 0; t < LENGTH; t++) {
        Slstm.Output one = slstm.step(x.select(1, t), s);
        Mlstm.Output other = mlstm.step(x.select(1, t), m);
        s = one.state();
        m = other.state();
        ofSlstm.add(one.output());
        ofMlstm.add(other.output());
      }
      Tensor whole = slstm.forward(x, slstm.initialState(BATCH)).output();
      Golden.assertClose("slstm", Ops.stackAll(ofSlstm, 1), whole, 1e-5);
      whole = mlstm.forward(x, mlstm.initialState(BATCH)).output();
      Golden.assertClose("mlstm", Ops.stackAll(ofMlstm, 1), whole, 1e-5);
    }
  }

  @Test
  void what_the_padding_holds_changes_no_gradient() {
    try (var _ = new PointerScope();
        var layer = new Slstm(1, 4, 2)) {
      float[] values = new float[BATCH * LENGTH];
      values[1] = 1;
      values[LENGTH - 1] = Float.NaN; // beyond the first row's length
      Tensor x = Tensors.of(values, BATCH, LENGTH, 1);
      Tensor lengths = Tensors.of(new int[] {3, LENGTH}, BATCH);
      SequenceLayout layout = SequenceLayout.ofLengths(lengths, LENGTH);
      Tensor y = layer.forward(x, layer.initialState(BATCH), layout).output();
      y.narrow(1, 0, 3).square().sum().backward();
      layer
          .parameters()
          .byName()
          .forEach((name, p) -> Gradients.assertFinite(name, Gradients.of(p)));
    }
  }

  @Test
  void the_norm_is_a_choice_and_its_weight_has_its_old_name() {
    try (var plain = new Slstm(3, 4, 2);
        var without = new Slstm(3, 4, 2, Norm.NONE);
        var one = new Mlstm(1, 4, 2)) {
      assertThat(plain.parameters().byName().keySet())
          .startsWith("slstm.norm.weight", "slstm.conv1d.weight")
          .contains("slstm.head_norm.weight");
      var rest = new ArrayList<>(plain.parameters().byName().keySet());
      rest.remove("slstm.norm.weight");
      assertThat(without.parameters().byName().keySet()).containsExactlyElementsOf(rest);
      assertThat(one.parameters().byName()).doesNotContainKey("mlstm.norm.weight");
    }
    assertThatThrownBy(() -> new Slstm(1, 4, 2, Norm.LAYER))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("inputDim (1) cannot be normalised with Norm.LAYER")
        .hasMessageEndingWith("use Norm.NONE");
  }

  @Test
  void without_a_norm_the_layer_is_the_same_on_both_backends() {
    try (var _ = new PointerScope();
        var layer = new Mlstm(5, 4, 2, Norm.NONE)) {
      Tensor x = new Draws(2, ScalarType.Float).normal(1, BATCH, LENGTH, 5);
      Tensor fused = layer.forward(x, layer.initialState(BATCH)).output();
      layer.backend(Backend.LIBTORCH);
      Tensor libtorch = layer.forward(x, layer.initialState(BATCH)).output();
      Golden.assertClose("output", fused, libtorch, 1e-5);
      List<Tensor> parts = layer.initialState(BATCH).cell().tensors();
      assertThat(Ops.shape(parts.getFirst())).containsExactly(BATCH, 2, 4, 4);
    }
  }
}
