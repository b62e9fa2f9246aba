package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole mLSTM block of the paper family, `x + mlstm(norm(x))`, forward and backward (spec 3.2):
/// the other kernels in a row, with nothing between them but memory.
///
/// R are the B x S positions, D the width of the residual stream, I the inner width. All memory is
/// float32, contiguous.
public final class MlstmBlockKernel {
  private final Kernels kernels;

  MlstmBlockKernel(Kernels kernels) {
    this.kernels = kernels;
  }

  /// @param batch B
  /// @param length S
  /// @param dim D
  /// @param inner I
  /// @param heads NH
  /// @param taps K of the convolution, at least 2
  /// @param blockSize width of a block of the q, k and v projections
  /// @param epsilon of both norms
  public record Size(
      int batch,
      int length,
      int dim,
      int inner,
      int heads,
      int taps,
      int blockSize,
      float epsilon) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    HeadNormKernel.Size norm() {
      return new HeadNormKernel.Size(rows(), 1, dim);
    }

    HeadNormKernel.Size headNorm() {
      return new HeadNormKernel.Size(rows(), heads, inner / heads);
    }

    LinearKernel.Size up() {
      return new LinearKernel.Size(rows(), dim, inner);
    }

    LinearKernel.Size gates() {
      return new LinearKernel.Size(rows(), 3 * inner, 2 * heads);
    }

    LinearKernel.Size down() {
      return new LinearKernel.Size(rows(), inner, dim);
    }

    CausalConvKernel.Size conv() {
      return new CausalConvKernel.Size(batch, length, inner, taps);
    }

    HeadwiseShape headwise() {
      return new HeadwiseShape(rows(), inner / blockSize, blockSize, blockSize);
    }

    MlstmShape cell() {
      return new MlstmShape(batch, length, heads, inner / heads, inner / heads);
    }
  }

  /// The parameters, or where their gradients go.
  ///
  /// @param norm `(D)`
  /// @param up `(2 I, D)`, first what the memory reads, then its output gate
  /// @param conv `(I, K)`
  /// @param convBias `(I)`
  /// @param q, k, v `(I / P, P, P)`
  /// @param igate, fgate `(NH, 3 I)`
  /// @param igateBias, fgateBias `(NH)`
  /// @param outnorm `(I)`
  /// @param skip `(I)`
  /// @param down `(D, I)`
  public record Weights(
      MemorySegment norm,
      MemorySegment up,
      MemorySegment conv,
      MemorySegment convBias,
      MemorySegment q,
      MemorySegment k,
      MemorySegment v,
      MemorySegment igate,
      MemorySegment igateBias,
      MemorySegment fgate,
      MemorySegment fgateBias,
      MemorySegment outnorm,
      MemorySegment skip,
      MemorySegment down) {
    MemorySegment upMemory() {
      return up.asSlice(0, up.byteSize() / 2);
    }

    MemorySegment upGate() {
      return up.asSlice(up.byteSize() / 2);
    }
  }

  /// @param conv the last K-1 inputs of the convolution `(B, K-1, I)`
  public record State(MemorySegment conv, MlstmState cell) {}

  /// @param conv gradient of the tail `(B, K-1, I)`
  public record StateGradient(MemorySegment conv, MlstmStateGradient cell) {}

  /// What a call reads besides the parameters.
  ///
  /// @param x `(B, S, D)`
  /// @param dropout what the branch is multiplied by `(B, S, D)`; null for one
  /// @param valid, starts as in [MlstmInputs]
  public record Inputs(
      MemorySegment x,
      State initial,
      @Nullable MemorySegment dropout,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {}

  /// Everything between input and output, as it lies in the saved memory.
  private static final class Saved {
    final MemorySegment normed; // (R, D)
    final MemorySegment normStatistics;
    final MemorySegment memory; // (R, I), what convolution and v read
    final MemorySegment outputGate; // (R, I)
    final MemorySegment convolved; // (R, I)
    final MemorySegment qkv; // (R, 3 I)
    final MemorySegment gateWeights; // (2 NH, 3 I)
    final MemorySegment gateBias; // (2 NH)
    final MemorySegment gates; // (R, 2 NH)
    final MemorySegment cell;
    final MemorySegment h; // (R, I)
    final MemorySegment headStatistics;
    final MemorySegment y; // (R, I)
    final int inner;
    final int heads;

    Saved(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      inner = size.inner;
      heads = size.heads;
      normed = from.floats(rows * size.dim);
      normStatistics = from.floats(rows * 2);
      memory = from.floats(rows * inner);
      outputGate = from.floats(rows * inner);
      convolved = from.floats(rows * inner);
      qkv = from.floats(rows * 3 * inner);
      gateWeights = from.floats(6L * heads * inner);
      gateBias = from.floats(2L * heads);
      gates = from.floats(rows * 2 * heads);
      cell = from.bytes(cellBytes);
      h = from.floats(rows * inner);
      headStatistics = from.floats(rows * 2 * heads);
      y = from.floats(rows * inner);
    }

    Rows part(MemorySegment ofQkv, int number) {
      return new Rows(ofQkv, 3 * inner).from(number * inner);
    }

    MlstmInputs cellInputs(Inputs inputs) {
      var gate = new Rows(gates, 2 * heads);
      return new MlstmInputs(
          part(qkv, 0),
          part(qkv, 1),
          part(qkv, 2),
          gate,
          gate.from(heads),
          inputs.valid,
          inputs.starts);
    }

    CausalConvKernel.Inputs convInputs(Weights weights, Inputs inputs) {
      return new CausalConvKernel.Inputs(
          memory, weights.conv, weights.convBias, inputs.initial.conv, inputs.valid, inputs.starts);
    }

    HeadNormKernel.Inputs headNormInputs(Weights weights, float epsilon) {
      return new HeadNormKernel.Inputs(
          h,
          weights.outnorm,
          new HeadNormKernel.Gate(weights.skip, convolved, outputGate),
          epsilon);
    }
  }

  private Saved saved(Workspace from, Size size) {
    return new Saved(from, size, kernels.mlstm().savedBytes(size.cell()));
  }

  /// Bytes that [#forward] needs and leaves for [#backward].
  public long savedBytes(Size size) {
    Workspace counting = Workspace.counting();
    saved(counting, size);
    return counting.size();
  }

  /// @param saved [#savedBytes] bytes; only read again if `keep`
  /// @param keep whether [#backward] will follow
  /// @param out `(B, S, D)`
  /// @param last the state after the last token; not the memory of the initial one
  public void forward(
      Size size,
      Weights weights,
      Inputs inputs,
      MemorySegment saved,
      boolean keep,
      MemorySegment out,
      State last) {
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    Saved s = saved(Workspace.of(saved), size);
    int inner = size.inner;
    kernels
        .headNorm()
        .forward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normed,
            s.normStatistics,
            workers);
    var normed = new Rows(s.normed, size.dim);
    var memory = new Rows(s.memory, inner);
    linear.forward(size.up(), normed, weights.upMemory(), null, null, memory, workers);
    var outputGate = new Rows(s.outputGate, inner);
    linear.forward(size.up(), normed, weights.upGate(), null, null, outputGate, workers);
    kernels
        .causalConv()
        .forward(size.conv(), s.convInputs(weights, inputs), s.convolved, last.conv, workers);
    var convolved = new Rows(s.convolved, inner);
    HeadwiseKernel headwise = kernels.headwise();
    headwise.forward(size.headwise(), convolved, weights.q, s.part(s.qkv, 0));
    headwise.forward(size.headwise(), convolved, weights.k, s.part(s.qkv, 1));
    headwise.forward(size.headwise(), memory, weights.v, s.part(s.qkv, 2));
    join(weights.igate, weights.fgate, s.gateWeights);
    join(weights.igateBias, weights.fgateBias, s.gateBias);
    linear.forward(
        size.gates(),
        new Rows(s.qkv, 3 * inner),
        s.gateWeights,
        s.gateBias,
        null,
        new Rows(s.gates, 2 * size.heads),
        workers);
    kernels
        .mlstm()
        .forward(
            size.cell(),
            s.cellInputs(inputs),
            inputs.initial.cell,
            new Rows(s.h, inner),
            last.cell,
            keep ? s.cell : null);
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            s.y,
            s.headStatistics,
            workers);
    var x = new Rows(inputs.x, size.dim);
    var y = new Rows(s.y, inner);
    linear.forward(
        size.down(),
        y,
        weights.down,
        null,
        inputs.dropout == null ? x : null,
        new Rows(out, size.dim),
        workers);
    if (inputs.dropout != null) {
      kernels.elementwise().multiplyAdd(out, inputs.dropout, inputs.x, out, workers);
    }
  }

  private static void join(MemorySegment first, MemorySegment second, MemorySegment both) {
    MemorySegment.copy(first, 0, both, 0, first.byteSize());
    MemorySegment.copy(second, 0, both, first.byteSize(), second.byteSize());
  }

  private static void part(MemorySegment both, MemorySegment first, MemorySegment second) {
    MemorySegment.copy(both, 0, first, 0, first.byteSize());
    MemorySegment.copy(both, first.byteSize(), second, 0, second.byteSize());
  }

  /// Gradients of what lies between input and output.
  private static final class Scratch {
    final MemorySegment branch; // (R, D)
    final MemorySegment y; // (R, I), and of h after it
    final MemorySegment h;
    final MemorySegment convolved;
    final MemorySegment outputGate;
    final MemorySegment memory;
    final MemorySegment qkv; // (R, 3 I)
    final MemorySegment gates; // (R, 2 NH)
    final MemorySegment gateWeights;
    final MemorySegment gateBias;
    final MemorySegment normed; // (R, D)

    Scratch(Workspace from, Size size) {
      long rows = size.rows();
      branch = from.floats(rows * size.dim);
      y = from.floats(rows * size.inner);
      h = from.floats(rows * size.inner);
      convolved = from.floats(rows * size.inner);
      outputGate = from.floats(rows * size.inner);
      memory = from.floats(rows * size.inner);
      qkv = from.floats(rows * 3 * size.inner);
      gates = from.floats(rows * 2 * size.heads);
      gateWeights = from.floats(6L * size.heads * size.inner);
      gateBias = from.floats(2L * size.heads);
      normed = from.floats(rows * size.dim);
    }
  }

  /// Bytes that [#backward] works in.
  public long scratchBytes(Size size) {
    Workspace counting = Workspace.counting();
    new Scratch(counting, size);
    return counting.size();
  }

  /// @param inputs as given to [#forward]
  /// @param saved what [#forward] wrote
  /// @param scratch [#scratchBytes] bytes
  /// @param dOut gradient of out `(B, S, D)`
  /// @param dLast gradient of the final state; null for zero
  /// @param dx gradient of x `(B, S, D)`, written
  /// @param dWeights written
  /// @param dInitial gradient of the initial state, written
  public void backward(
      Size size,
      Weights weights,
      Inputs inputs,
      MemorySegment saved,
      MemorySegment scratch,
      MemorySegment dOut,
      @Nullable StateGradient dLast,
      MemorySegment dx,
      Weights dWeights,
      StateGradient dInitial) {
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    Saved s = saved(Workspace.of(saved), size);
    var d = new Scratch(Workspace.of(scratch), size);
    int inner = size.inner;

    MemorySegment dBranch = dOut;
    if (inputs.dropout != null) {
      dBranch = d.branch;
      kernels.elementwise().multiplyAdd(dOut, inputs.dropout, null, dBranch, workers);
    }
    var branch = new Rows(dBranch, size.dim);
    var dY = new Rows(d.y, inner);
    linear.backwardWeight(size.down(), new Rows(s.y, inner), branch, dWeights.down, null, workers);
    linear.backwardInput(size.down(), branch, weights.down, null, dY, workers);
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            s.headStatistics,
            d.y,
            new HeadNormKernel.Gradients(
                d.h,
                dWeights.outnorm,
                new HeadNormKernel.Gate(dWeights.skip, d.convolved, d.outputGate)),
            workers);

    var dGates = new Rows(d.gates, 2 * size.heads);
    kernels
        .mlstm()
        .backward(
            size.cell(),
            s.cellInputs(inputs),
            new Rows(s.h, inner),
            s.cell,
            new Rows(d.h, inner),
            dLast == null ? null : dLast.cell,
            new MlstmGradients(
                s.part(d.qkv, 0),
                s.part(d.qkv, 1),
                s.part(d.qkv, 2),
                dGates,
                dGates.from(size.heads)),
            dInitial.cell);
    var qkv = new Rows(s.qkv, 3 * inner);
    var dQkv = new Rows(d.qkv, 3 * inner);
    linear.backwardWeight(size.gates(), qkv, dGates, d.gateWeights, d.gateBias, workers);
    part(d.gateWeights, dWeights.igate, dWeights.fgate);
    part(d.gateBias, dWeights.igateBias, dWeights.fgateBias);
    linear.backwardInput(size.gates(), dGates, s.gateWeights, dQkv, dQkv, workers);

    HeadwiseKernel headwise = kernels.headwise();
    var convolved = new Rows(s.convolved, inner);
    var dConvolved = new Rows(d.convolved, inner);
    headwise.backward(
        size.headwise(), convolved, weights.q, s.part(d.qkv, 0), dConvolved, true, dWeights.q);
    headwise.backward(
        size.headwise(), convolved, weights.k, s.part(d.qkv, 1), dConvolved, true, dWeights.k);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            s.convInputs(weights, inputs),
            d.convolved,
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                d.memory, dWeights.conv, dWeights.convBias, dInitial.conv),
            workers);
    var memory = new Rows(s.memory, inner);
    var dMemory = new Rows(d.memory, inner);
    headwise.backward(
        size.headwise(), memory, weights.v, s.part(d.qkv, 2), dMemory, true, dWeights.v);

    var normed = new Rows(s.normed, size.dim);
    var dOutputGate = new Rows(d.outputGate, inner);
    linear.backwardWeight(size.up(), normed, dMemory, dWeights.upMemory(), null, workers);
    linear.backwardWeight(size.up(), normed, dOutputGate, dWeights.upGate(), null, workers);
    var dNormed = new Rows(d.normed, size.dim);
    linear.backwardInput(size.up(), dMemory, weights.upMemory(), null, dNormed, workers);
    linear.backwardInput(size.up(), dOutputGate, weights.upGate(), dNormed, dNormed, workers);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normStatistics,
            d.normed,
            new HeadNormKernel.Gradients(dx, dWeights.norm, null),
            workers);
    kernels.elementwise().add(dx, dOut, dx, workers);
  }
}
