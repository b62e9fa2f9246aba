package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.gelu;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.silu;
import static org.bytedeco.pytorch.global.torch.zeros;

import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The fused layers against the libtorch operations they stand for, forward and every gradient.
class FusedLayersTest {
  /// Float32 sums in another order, and other approximations of exp and erf.
  private static final double TOLERANCE = 2e-5;

  @ParameterizedTest(name = "{0} rows of {1}, {2} channels, {3} taps, {4}, vectorized {5}")
  @CsvSource({
    "1, 1, 1, 2, full, true",
    "3, 9, 17, 4, full, true",
    "3, 9, 16, 4, starts, true",
    "3, 9, 33, 3, lengths, true",
    "3, 9, 5, 4, lengths and starts, true",
    "3, 9, 5, 4, lengths and starts, false",
  })
  void convolution_and_silu(
      int batch, int length, int channels, int kernelSize, String kind, boolean vectorized) {
    var fused = new FusedLayers(Kernels.with(2, vectorized));
    try (var _ = new PointerScope();
        var parameters = Parameters.onCpu()) {
      Torch.seed(channels);
      boolean[] starts = new boolean[batch * length];
      starts[Math.min(2, starts.length - 1)] = true;
      SequenceLayout layout =
          new SequenceLayout(
              kind.contains("lengths")
                  ? SequenceLayout.ofLengths(Tensors.of(new int[] {9, 1, 4}, batch), length).valid()
                  : null,
              kind.contains("starts") ? Tensors.of(starts, batch, length) : null);
      var libtorch =
          new CausalConv1d(parameters.at("conv"), CausalConv1dConfig.of(channels, kernelSize));
      var again =
          new CausalConv1d(parameters.at("again"), CausalConv1dConfig.of(channels, kernelSize));
      copy(again, libtorch);
      Tensor x = randn(batch, length, channels);
      Tensor tail = randn(batch, kernelSize - 1L, channels);
      compare(
          List.of(x, tail),
          List.of(again.weight(), Ops.present(again.bias())),
          in -> {
            var out = fused.convSilu(in.get(0), again.weight(), again.bias(), in.get(1), layout);
            return List.of(layout.padded(out.y(), 1), out.tail());
          },
          List.of(libtorch.weight(), Ops.present(libtorch.bias())),
          in -> {
            var out = libtorch.forward(in.get(0), in.get(1), layout);
            return List.of(layout.padded(silu(out.y()), 1), out.tail());
          });
    }
  }

  private static void copy(CausalConv1d to, CausalConv1d from) {
    try (var _ = new NoGradGuard()) {
      to.weight().copy_(from.weight());
      Ops.present(to.bias()).copy_(Ops.present(from.bias()));
    }
  }

  @ParameterizedTest(name = "{0} blocks of {1}")
  @CsvSource({"1, 1", "32, 4", "5, 4", "4, 16", "3, 7"})
  void the_headwise_product(int heads, int width) {
    var fused = new FusedLayers(Kernels.with(2, true));
    try (var _ = new PointerScope()) {
      Torch.seed(heads);
      compare(
          List.of(randn(2, 9, (long) heads * width), randn(heads, width, width)),
          List.of(),
          in -> List.of(fused.headwise(in.get(0), in.get(1))),
          List.of(),
          in -> List.of(new HeadwiseLinear(in.get(1), null).forward(in.get(0))));
    }
  }

  @ParameterizedTest(name = "{0} heads of {1}")
  @CsvSource({"1, 7", "4, 16", "3, 33"})
  void the_gated_norm_of_the_heads(int heads, int width) {
    var fused = new FusedLayers(Kernels.with(2, true));
    try (var _ = new PointerScope()) {
      Torch.seed(heads);
      long all = (long) heads * width;
      compare(
          List.of(
              randn(2, 9, heads, width),
              randn(all),
              randn(all),
              randn(2, 9, all),
              randn(2, 9, all)),
          List.of(),
          in ->
              List.of(
                  fused.gatedHeadNorm(
                      in.get(0), in.get(1), in.get(2), in.get(3), in.get(4), Norms.EPS)),
          List.of(),
          in ->
              List.of(
                  new Norms.MultiHeadLayerNorm(in.get(1))
                      .forward(in.get(0))
                      .add(in.get(2).mul(in.get(3)))
                      .mul(silu(in.get(4)))));
    }
  }

  @ParameterizedTest(name = "width {0}")
  @ValueSource(ints = {3, 15, 64}) // of two, the gradient vanishes and only rounding is left
  void the_layer_norm(int width) {
    var fused = new FusedLayers(Kernels.with(2, true));
    try (var _ = new PointerScope()) {
      Torch.seed(width);
      compare(
          List.of(randn(2, 9, width), randn(width)),
          List.of(),
          in -> List.of(fused.layerNorm(in.get(0), in.get(1), Norms.EPS)),
          List.of(),
          in -> List.of(new Norms.LayerNorm(in.get(1)).forward(in.get(0))));
    }
  }

  @ParameterizedTest(name = "width {0}")
  @ValueSource(ints = {1, 15, 64})
  void the_gated_gelu(int width) {
    var fused = new FusedLayers(Kernels.with(2, true));
    try (var _ = new PointerScope()) {
      Torch.seed(width);
      compare(
          List.of(randn(2, 9, 2L * width)),
          List.of(),
          in -> List.of(fused.gatedGelu(in.getFirst())),
          List.of(),
          in -> {
            Tensor both = in.getFirst();
            return List.of(gelu(both.narrow(-1, 0, width)).mul(both.narrow(-1, width, width)));
          });
    }
  }

  /// Runs both on copies of the inputs with one random loss over all outputs; compares outputs and
  /// the gradients of inputs and parameters.
  private static void compare(
      List<Tensor> inputs,
      List<Tensor> fusedParameters,
      Function<List<Tensor>, List<Tensor>> fused,
      List<Tensor> twinParameters,
      Function<List<Tensor>, List<Tensor>> libtorch) {
    List<Tensor> a = leaves(inputs);
    List<Tensor> b = leaves(inputs);
    List<Tensor> actual = fused.apply(a);
    List<Tensor> expected = libtorch.apply(b);
    var lossA = zeros(1);
    var lossB = zeros(1);
    for (int i = 0; i < actual.size(); i++) {
      Golden.assertCloseRelative("output " + i, actual.get(i), expected.get(i), TOLERANCE);
      Tensor weight = randn(Ops.shape(expected.get(i)));
      lossA = lossA.add(actual.get(i).mul(weight).sum());
      lossB = lossB.add(expected.get(i).mul(weight).sum());
    }
    lossA.backward();
    lossB.backward();
    for (int i = 0; i < a.size(); i++) {
      Golden.assertCloseRelative(
          "gradient of input " + i, a.get(i).grad(), b.get(i).grad(), TOLERANCE);
    }
    for (int i = 0; i < fusedParameters.size(); i++) {
      Golden.assertCloseRelative(
          "gradient of parameter " + i,
          fusedParameters.get(i).grad(),
          twinParameters.get(i).grad(),
          TOLERANCE);
    }
  }

  private static List<Tensor> leaves(List<Tensor> inputs) {
    var leaves = new ArrayList<Tensor>();
    for (Tensor input : inputs) {
      leaves.add(new Tensor(input.clone().set_requires_grad(true)));
    }
    return leaves;
  }
}
