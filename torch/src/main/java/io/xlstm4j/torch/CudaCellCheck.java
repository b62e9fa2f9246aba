package io.xlstm4j.torch;

import io.xlstm4j.cuda.cell.ElementType;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Compares the sLSTM kernel of a GPU with [SlstmCell] on a short sequence, forward and backward,
/// before it is used. Draws no random numbers: a run is the same with the comparison and without.
final class CudaCellCheck {
  private static final long BATCH = 3;
  private static final long LENGTH = 6;
  private static final List<String> RESULTS =
      List.of(
          "y",
          "c",
          "n",
          "the gradient of wx",
          "the gradient of r",
          "the gradient of the bias",
          "the gradient of the first c");
  private static final double FLOAT32 = 1e-3;
  private static final double BFLOAT16 = 5e-2;

  private CudaCellCheck() {}

  /// Returns what is wrong, for a warning; empty for kernels that are right.
  static Optional<String> fault(CudaCells cells, int heads, int headDim, ElementType type) {
    boolean half = type == ElementType.BFLOAT16;
    double allowed = half ? BFLOAT16 : FLOAT32;
    try (var _ = new PointerScope();
        var _ = new AutoGradMode(true)) {
      Device gpu = cells.device();
      ScalarType values = half ? ScalarType.BFloat16 : ScalarType.Float;
      var problem = new Problem(heads, headDim, values, layout(gpu), gpu);
      List<Tensor> exact = problem.compute(ScalarType.Double, SlstmCell.PAPER::forward);
      List<Tensor> ours = problem.compute(values, cells::slstm);
      for (int i = 0; i < exact.size(); i++) {
        double error = error(ours.get(i), exact.get(i));
        if (!(error <= allowed)) { // NaN too
          return Optional.of(
              String.format(
                  Locale.ROOT,
                  "its kernel is wrong for %d heads of %d units in %s, %s by %.1e",
                  heads,
                  headDim,
                  half ? "bfloat16" : "float32",
                  RESULTS.get(i),
                  error));
        }
      }
      return Optional.empty();
    }
  }

  /// The second sequence is padded, a document starts within the first.
  private static SequenceLayout layout(Device gpu) {
    boolean[] starts = new boolean[(int) (BATCH * LENGTH)];
    starts[2] = true;
    Tensor lengths = Tensors.of(new int[] {(int) LENGTH, (int) LENGTH - 2, 1}, BATCH);
    return new SequenceLayout(
            SequenceLayout.ofLengths(lengths, LENGTH).valid(), Tensors.of(starts, BATCH, LENGTH))
        .on(gpu);
  }

  @FunctionalInterface
  private interface Cell {
    SlstmCell.Output forward(
        Tensor wx, Tensor r, Tensor b, SlstmCell.State initial, SequenceLayout layout);
  }

  /// @param rounded the type that sequences and the recurrent kernel are rounded to
  private record Problem(
      int heads, int headDim, ScalarType rounded, SequenceLayout layout, Device gpu) {
    /// Outputs, states and gradients, in the order of `RESULTS`.
    ///
    /// @param type of sequences and the recurrent kernel in the computation
    List<Tensor> compute(ScalarType type, Cell form) {
      ScalarType wide = type == ScalarType.Double ? type : ScalarType.Float;
      Tensor wx = leaf(numbers(1, BATCH, LENGTH, 4, heads, headDim).to(rounded), type);
      Tensor kernel =
          Ops.times(numbers(2, heads, headDim, 4, headDim), 1 / Math.sqrt(headDim)).to(rounded);
      Tensor r = leaf(kernel, type);
      Tensor b = leaf(numbers(3, heads, 4, headDim), wide);
      Tensor c = leaf(numbers(4, BATCH, heads, headDim), wide);
      Tensor fixed = c.detach();
      var initial =
          new SlstmCell.State(fixed.sin(), c, fixed.abs().add(Ops.number(1)), fixed.cos());
      SlstmCell.Output output = form.forward(wx, r, b, initial, layout);
      Tensor y = layout.padded(output.y().to(wide), 1);
      Tensor weights = numbers(5, Ops.shape(y)).to(gpu, wide);
      // c / n does not depend on m, whose gradient jumps where its two candidates meet
      Tensor cell = output.state().c().div(output.state().n());
      y.mul(weights).sum().add(cell.mul(fixed).sum()).backward();
      return List.of(
          y, output.state().c(), output.state().n(), wx.grad(), r.grad(), b.grad(), c.grad());
    }

    private Tensor leaf(Tensor x, ScalarType type) {
      return DiagnosticSetting.asLeaf(x.to(gpu, type));
    }
  }

  /// Numbers between -1 and 1 without a pattern, the same each time.
  private static Tensor numbers(int seed, long... shape) {
    long count = 1;
    for (long size : shape) {
      count *= size;
    }
    var dice = new Random(seed);
    float[] values = new float[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] = 2 * dice.nextFloat() - 1;
    }
    return Tensors.of(values, shape);
  }

  private static double error(Tensor ours, Tensor exact) {
    Tensor wide = exact.to(ScalarType.Double);
    double most = wide.abs().max().item_double();
    return ours.to(ScalarType.Double).sub(wide).abs().max().item_double() / Math.max(most, 1e-6);
  }
}
