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
import org.jspecify.annotations.Nullable;

/// Compares the kernels of a GPU with [SlstmCell] and [MlstmCell] in float64 on short sequences,
/// forward and backward, before they are used. Draws no random numbers: a run is the same with the
/// comparison and without.
final class CudaCellCheck {
  private static final long BATCH = 3;
  private static final double FLOAT32 = 1e-3;
  private static final double BFLOAT16 = 5e-2;
  private static final String INPUT_GATE = "the gradient of the input gate";
  private static final String FORGET_GATE = "the gradient of the forget gate";

  private CudaCellCheck() {}

  /// Returns what is wrong, for a warning; empty for kernels that are right.
  static Optional<String> slstmFault(CudaCells cells, int heads, int headDim, ElementType type) {
    try (var _ = new PointerScope();
        var _ = new AutoGradMode(true)) {
      Device gpu = cells.device();
      var problem =
          new SlstmProblem(
              heads, headDim, values(type), layout((int) SlstmProblem.LENGTH, true).on(gpu), gpu);
      return fault(
          "%d heads of %d units in %s".formatted(heads, headDim, name(type)),
          type,
          SlstmProblem.RESULTS,
          problem.compute(ScalarType.Double, SlstmCell.PAPER::forward),
          problem.compute(values(type), cells::slstm));
    }
  }

  /// The same for the mLSTM, over more than one chunk.
  ///
  /// @param padded whether the second sequence is shorter
  static Optional<String> mlstmFault(
      CudaCells cells, int qkDim, int vDim, ElementType type, boolean padded) {
    try (var _ = new PointerScope();
        var _ = new AutoGradMode(true)) {
      Device gpu = cells.device();
      int length = MlstmProblem.LENGTH;
      var problem =
          new MlstmProblem(qkDim, vDim, values(type), layout(length, padded).on(gpu), gpu);
      return fault(
          "queries of %d and values of %d units in %s%s"
              .formatted(qkDim, vDim, name(type), padded ? " with padding" : ""),
          type,
          MlstmProblem.RESULTS,
          problem.compute(ScalarType.Double, MlstmProblem::exact),
          problem.compute(values(type), cells::mlstm));
    }
  }

  private static Optional<String> fault(
      String kind, ElementType type, List<String> names, List<Tensor> exact, List<Tensor> ours) {
    double allowed = type == ElementType.BFLOAT16 ? BFLOAT16 : FLOAT32;
    for (int i = 0; i < exact.size(); i++) {
      @Nullable Tensor terms =
          names.get(i).equals(FORGET_GATE) ? exact.get(names.indexOf(INPUT_GATE)) : null;
      double error = error(ours.get(i), exact.get(i), terms);
      if (!(error <= allowed)) { // NaN too
        return Optional.of(
            String.format(
                Locale.ROOT, "its kernel is wrong for %s, %s by %.1e", kind, names.get(i), error));
      }
    }
    return Optional.empty();
  }

  private static ScalarType values(ElementType type) {
    return type == ElementType.BFLOAT16 ? ScalarType.BFloat16 : ScalarType.Float;
  }

  private static String name(ElementType type) {
    return type == ElementType.BFLOAT16 ? "bfloat16" : "float32";
  }

  /// A document starts within the first sequence; if padded, the second is two tokens shorter and
  /// the third has one token.
  private static SequenceLayout layout(int length, boolean padded) {
    boolean[] starts = new boolean[(int) BATCH * length];
    starts[length / 3] = true;
    Tensor documents = Tensors.of(starts, BATCH, length);
    if (!padded) {
      return new SequenceLayout(null, documents);
    }
    Tensor lengths = Tensors.of(new int[] {length, length - 2, 1}, BATCH);
    return new SequenceLayout(SequenceLayout.ofLengths(lengths, length).valid(), documents);
  }

  @FunctionalInterface
  private interface SlstmForm {
    SlstmCell.Output forward(
        Tensor wx, Tensor r, Tensor b, SlstmCell.State initial, SequenceLayout layout);
  }

  /// @param rounded the type that sequences and the recurrent kernel are rounded to
  private record SlstmProblem(
      int heads, int headDim, ScalarType rounded, SequenceLayout layout, Device gpu) {
    static final long LENGTH = 6;
    static final List<String> RESULTS =
        List.of(
            "y",
            "c",
            "n",
            "the gradient of wx",
            "the gradient of r",
            "the gradient of the bias",
            "the gradient of the first c");

    /// Outputs, states and gradients, in the order of `RESULTS`.
    ///
    /// @param type of sequences and the recurrent kernel in the computation
    List<Tensor> compute(ScalarType type, SlstmForm form) {
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

  @FunctionalInterface
  private interface MlstmForm {
    MlstmCell.Output forward(
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor iPre,
        Tensor fPre,
        MlstmCell.State initial,
        SequenceLayout layout);
  }

  /// The denominators are far from where `|q n|` and its floor meet, and no small rest of large
  /// terms: with the first normalizer `q n` is large, after a document's start it is small.
  ///
  /// @param rounded the type that queries, keys and values are rounded to
  private record MlstmProblem(
      int qkDim, int vDim, ScalarType rounded, SequenceLayout layout, Device gpu) {
    static final int LENGTH = 140;
    static final int HEADS = 2;
    static final List<String> RESULTS =
        List.of(
            "h",
            "c",
            "n",
            "m",
            "the gradient of q",
            "the gradient of k",
            "the gradient of v",
            INPUT_GATE,
            FORGET_GATE,
            "the gradient of the first c",
            "the gradient of the first n");

    /// Outputs, states and gradients, in the order of `RESULTS`.
    ///
    /// @param type of queries, keys and values in the computation
    List<Tensor> compute(ScalarType type, MlstmForm form) {
      ScalarType wide = type == ScalarType.Double ? type : ScalarType.Float;
      Tensor queries = shifted(numbers(1, BATCH, LENGTH, HEADS * (long) qkDim), 0.25, 0.75);
      Tensor q = leaf(queries.to(rounded), type);
      Tensor k = leaf(numbers(2, BATCH, LENGTH, HEADS * (long) qkDim).to(rounded), type);
      Tensor v = leaf(numbers(3, BATCH, LENGTH, HEADS * (long) vDim).to(rounded), type);
      Tensor i = leaf(shifted(numbers(4, BATCH, LENGTH, HEADS), 1, -4), wide);
      Tensor f = leaf(shifted(numbers(5, BATCH, LENGTH, HEADS), 1, 6), wide);
      Tensor c0 = leaf(numbers(6, BATCH, HEADS, qkDim, vDim), wide);
      Tensor n0 = leaf(shifted(numbers(7, BATCH, HEADS, qkDim), 1, 4), wide);
      Tensor m0 = numbers(8, BATCH, HEADS).to(gpu, wide).mul(Ops.number(0.1));
      MlstmCell.Output output =
          form.forward(q, k, v, i, f, new MlstmCell.State(c0, n0, m0), layout);
      Tensor h = layout.padded(output.h().to(wide), 1);
      Tensor c = output.state().c();
      Tensor n = output.state().n();
      h.mul(numbers(9, Ops.shape(h)).to(gpu, wide))
          .sum()
          .add(c.mul(numbers(10, Ops.shape(c)).to(gpu, wide)).sum())
          .add(n.mul(numbers(11, Ops.shape(n)).to(gpu, wide)).sum())
          .backward();
      return List.of(
          h,
          c,
          n,
          output.state().m(),
          q.grad(),
          k.grad(),
          v.grad(),
          i.grad(),
          f.grad(),
          c0.grad(),
          n0.grad());
    }

    private static Tensor shifted(Tensor x, double by, double to) {
      return Ops.times(x, by).add(Ops.number(to));
    }

    private Tensor leaf(Tensor x, ScalarType type) {
      return DiagnosticSetting.asLeaf(x.to(gpu, type));
    }

    /// As [ExecutionMode#mlstm], on libtorch.
    static MlstmCell.Output exact(
        Tensor q,
        Tensor k,
        Tensor v,
        Tensor iPre,
        Tensor fPre,
        MlstmCell.State initial,
        SequenceLayout layout) {
      var reference = new ExecutionMode();
      reference.backend(Backend.LIBTORCH);
      return reference.mlstm(q, k, v, iPre, fPre, initial, layout);
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

  /// The largest difference against the largest number.
  ///
  /// @param terms `(B, S, NH)`, what the numbers are sums of over S; null for nothing. Sums that
  ///   cancel are as wrong as their terms
  static double error(Tensor ours, Tensor exact, @Nullable Tensor terms) {
    Tensor wide = exact.to(ScalarType.Double);
    double most = wide.abs().max().item_double();
    if (terms != null) {
      Tensor sums = terms.to(ScalarType.Double).abs().sum(1);
      most = Math.max(most, sums.max().item_double());
    }
    return ours.to(ScalarType.Double).sub(wide).abs().max().item_double() / Math.max(most, 1e-3);
  }
}
