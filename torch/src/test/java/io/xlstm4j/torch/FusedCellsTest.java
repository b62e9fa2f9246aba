package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.randn;

import io.xlstm4j.kernels.Kernels;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiFunction;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The fused cells against their libtorch forms: outputs, final states, and every gradient, with
/// gradients into the final states too.
class FusedCellsTest {
  /// Sums of up to some hundred float32 terms in another order, and other approximations of exp.
  private static final double TOLERANCE = 2e-4;

  private record Case(int batch, int length, int heads, int dim, String layout) {
    SequenceLayout sequenceLayout() {
      boolean[] starts = new boolean[batch * length];
      int[] lengths = new int[batch];
      for (int row = 0; row < batch; row++) {
        lengths[row] = Math.max(0, length - row * 2);
        for (int t = row; t < length; t += 5 + row) {
          starts[row * length + t] = true;
        }
      }
      @Nullable Tensor valid =
          layout.contains("lengths")
              ? SequenceLayout.ofLengths(Tensors.of(lengths, batch), length).valid()
              : null;
      return new SequenceLayout(
          valid, layout.contains("starts") ? Tensors.of(starts, batch, length) : null);
    }
  }

  @ParameterizedTest(name = "{0} rows of {1}, {2} heads of {3}, {4}, vectorized {5}")
  @CsvSource({
    "1, 1, 1, 1, full, true",
    "2, 9, 2, 7, full, true",
    "3, 17, 4, 16, starts, true",
    "3, 17, 2, 17, lengths, true",
    "4, 33, 2, 32, lengths and starts, true",
    "2, 9, 2, 7, lengths and starts, false",
  })
  void the_fused_slstm_equals_its_twin(
      int batch, int length, int heads, int dim, String kind, boolean vectorized) {
    var size = new Case(batch, length, heads, dim, kind);
    var fused = new FusedCells(Kernels.with(2, vectorized));
    try (var _ = new PointerScope()) {
      Torch.seed(batch * 31L + length);
      Tensor[] inputs = {
        randn(batch, length, 4, heads, dim),
        Ops.times(randn(heads, dim, 4, dim), 0.4 / Math.sqrt((double) dim)),
        randn(heads, 4, dim),
        randn(batch, heads, dim),
        randn(batch, heads, dim),
        Ops.onePlus(randn(batch, heads, dim).square()), // a warm state
        randn(batch, heads, dim)
      };
      SequenceLayout layout = size.sequenceLayout();
      compare(
          inputs,
          7,
          (x, _) -> {
            var state = new SlstmCell.State(x[3], x[4], x[5], x[6]);
            return slstmOutputs(fused.slstm(x[0], x[1], x[2], state, layout), layout);
          },
          (x, _) -> {
            var state = new SlstmCell.State(x[3], x[4], x[5], x[6]);
            return slstmOutputs(SlstmCell.PAPER.forward(x[0], x[1], x[2], state, layout), layout);
          });
    }
  }

  private static List<Tensor> slstmOutputs(SlstmCell.Output output, SequenceLayout layout) {
    var outputs = new ArrayList<Tensor>();
    outputs.add(layout.padded(output.y(), 1));
    outputs.addAll(output.state().tensors());
    return outputs;
  }

  @ParameterizedTest(name = "{0} rows of {1}, {2} heads of {3}, {4}, vectorized {5}")
  @CsvSource({
    "1, 1, 1, 1, full, true",
    "2, 9, 2, 7, full, true",
    "3, 70, 4, 16, starts, true",
    "3, 65, 2, 17, lengths, true",
    "4, 140, 2, 32, lengths and starts, true",
    "2, 9, 2, 7, lengths and starts, false",
  })
  void the_fused_mlstm_equals_its_twin(
      int batch, int length, int heads, int dim, String kind, boolean vectorized) {
    var size = new Case(batch, length, heads, dim, kind);
    int vDim = dim + 3;
    var fused = new FusedCells(Kernels.with(2, vectorized));
    try (var _ = new PointerScope()) {
      Torch.seed(batch * 37L + length);
      Tensor[] inputs = {
        randn(batch, length, (long) heads * dim),
        randn(batch, length, (long) heads * dim),
        randn(batch, length, (long) heads * vDim),
        randn(batch, length, heads),
        Ops.onePlus(randn(batch, length, heads)),
        randn(batch, heads, dim, vDim),
        randn(batch, heads, dim),
        randn(batch, heads)
      };
      SequenceLayout layout = size.sequenceLayout();
      compare(
          inputs,
          7, // m is detached
          (x, _) ->
              mlstmOutputs(
                  fused.mlstm(
                      x[0], x[1], x[2], x[3], x[4], new MlstmCell.State(x[5], x[6], x[7]), layout),
                  layout),
          (x, _) -> {
            var libtorch =
                MlstmCell.chunkwise(
                    heads(x[0], heads),
                    heads(x[1], heads),
                    heads(x[2], heads),
                    x[3].transpose(1, 2),
                    x[4].transpose(1, 2),
                    new MlstmCell.State(x[5], x[6], x[7]),
                    layout,
                    16);
            return mlstmOutputs(
                new MlstmCell.Output(libtorch.h().transpose(1, 2), libtorch.state()), layout);
          });
    }
  }

  private static Tensor heads(Tensor x, int heads) {
    return x.view(x.size(0), x.size(1), heads, -1).transpose(1, 2);
  }

  private static List<Tensor> mlstmOutputs(MlstmCell.Output output, SequenceLayout layout) {
    return List.of(
        layout.padded(output.h(), 1), output.state().c(), output.state().n(), output.state().m());
  }

  /// Runs both on copies of the inputs, with one random loss over all outputs.
  private static void compare(
      Tensor[] inputs,
      int withGradient,
      BiFunction<Tensor[], Integer, List<Tensor>> fused,
      BiFunction<Tensor[], Integer, List<Tensor>> libtorch) {
    Tensor[] a = leaves(inputs, withGradient);
    Tensor[] b = leaves(inputs, withGradient);
    List<Tensor> actual = fused.apply(a, 0);
    List<Tensor> expected = libtorch.apply(b, 0);
    @Nullable Tensor lossA = null;
    @Nullable Tensor lossB = null;
    for (int i = 0; i < actual.size(); i++) {
      Golden.assertCloseRelative("output " + i, actual.get(i), expected.get(i), TOLERANCE);
      if (expected.get(i).requires_grad()) {
        Tensor weight = randn(Ops.shape(expected.get(i)));
        Tensor partA = actual.get(i).mul(weight).sum();
        Tensor partB = expected.get(i).mul(weight).sum();
        lossA = lossA == null ? partA : lossA.add(partA);
        lossB = lossB == null ? partB : lossB.add(partB);
      }
    }
    Objects.requireNonNull(lossA).backward();
    Objects.requireNonNull(lossB).backward();
    for (int i = 0; i < withGradient; i++) {
      Golden.assertCloseRelative("gradient " + i, a[i].grad(), b[i].grad(), TOLERANCE);
    }
  }

  private static Tensor[] leaves(Tensor[] inputs, int withGradient) {
    Tensor[] leaves = new Tensor[inputs.length];
    for (int i = 0; i < leaves.length; i++) {
      leaves[i] = new Tensor(inputs[i].clone().set_requires_grad(i < withGradient));
    }
    return leaves;
  }
}
