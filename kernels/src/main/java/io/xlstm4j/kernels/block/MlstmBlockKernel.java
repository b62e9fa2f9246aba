package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.MlstmBlockWorkspace.Backward;
import io.xlstm4j.kernels.block.MlstmBlockWorkspace.Factors;
import io.xlstm4j.kernels.block.MlstmBlockWorkspace.Forward;
import io.xlstm4j.kernels.block.MlstmBlockWorkspace.Saved;
import io.xlstm4j.kernels.block.MlstmBlockWorkspace.Sums;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole mLSTM block of the paper family, `x + mlstm(norm(x))`, forward and backward
/// (docs/math.md 3.2): the other kernels in a row, with nothing between them but memory. Each row
/// of the batch goes through all of them at once ([SequenceGroups]); what is cheap to compute again
/// is not saved.
///
/// R are the B x S positions, D the width of the residual stream, I the inner width. All memory is
/// float32, contiguous.
public final class MlstmBlockKernel {
  private static final int ROWS = 1; // of a group

  /// Bytes that the groups' own gradients of the large weights may take.
  private static final long MOST_SUMS = 64L << 20;

  private final Kernels kernels;
  private final long mostSums;

  public MlstmBlockKernel(Kernels kernels) {
    this(kernels, MOST_SUMS);
  }

  /// @param mostSums bytes that the groups' own gradients of the large weights may take; beyond,
  ///   they are products over all rows afterwards, which read them from further away
  MlstmBlockKernel(Kernels kernels, long mostSums) {
    this.kernels = kernels;
    this.mostSums = mostSums;
  }

  private boolean sumsByGroup(Size size) {
    return 3L * size.inner * size.dim * Float.BYTES * size.cut().groups() <= mostSums;
  }

  /// @param batch B
  /// @param length S
  /// @param dim D
  /// @param inner I
  /// @param heads NH
  /// @param kernelSize K of the convolution, at least 2
  /// @param blockSize width of a block of the q, k and v projections
  /// @param epsilon of both norms
  public record Size(
      int batch,
      int length,
      int dim,
      int inner,
      int heads,
      int kernelSize,
      int blockSize,
      float epsilon) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    SequenceGroups cut() {
      return new SequenceGroups(batch, ROWS);
    }

    /// The same for fewer rows.
    Size of(int rows) {
      return new Size(rows, length, dim, inner, heads, kernelSize, blockSize, epsilon);
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
      return new LinearKernel.Size(rows(), inner, 2 * heads);
    }

    LinearKernel.Size down() {
      return new LinearKernel.Size(rows(), inner, dim);
    }

    CausalConvKernel.Size conv() {
      return new CausalConvKernel.Size(batch, length, inner, kernelSize);
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

    ProjectedMlstmKernel.Projections projections(Size size) {
      return new ProjectedMlstmKernel.Projections(size.blockSize, q, k, v);
    }
  }

  /// @param conv the last K-1 inputs of the convolution `(B, K-1, I)`
  public record State(MemorySegment conv, MlstmState cell) {
    State of(SequenceGroups.Group group) {
      return new State(
          group.of(conv),
          new MlstmState(group.of(cell.c()), group.of(cell.n()), group.of(cell.m())));
    }
  }

  /// @param conv gradient of the tail `(B, K-1, I)`
  public record StateGradient(MemorySegment conv, MlstmStateGradient cell) {
    StateGradient of(SequenceGroups.Group group) {
      return new StateGradient(
          group.of(conv), new MlstmStateGradient(group.of(cell.c()), group.of(cell.n())));
    }
  }

  /// The inputs of a call besides the parameters.
  ///
  /// @param x `(B, S, D)`
  /// @param dropout what the branch is multiplied by `(B, S, D)`; null for one
  /// @param valid, starts as in `MlstmInputs`
  public record Inputs(
      MemorySegment x,
      State initial,
      @Nullable MemorySegment dropout,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    Inputs of(SequenceGroups.Group group) {
      return new Inputs(
          group.of(x),
          initial.of(group),
          group.ofOptional(dropout),
          group.ofOptional(valid),
          group.ofOptional(starts));
    }
  }

  private Saved saved(Workspace from, Size size) {
    return Saved.in(from, size, kernels.projectedMlstm().savedBytes(size.cell()));
  }

  /// Bytes that [#forward] leaves for [#backward].
  public long savedBytes(Size size) {
    Workspace counting = Workspace.counting();
    saved(counting, size);
    return counting.size();
  }

  /// Bytes that [#forward] works in.
  public long forwardScratchBytes(Size size) {
    return FoldedGates.bytes(size) + passingBytes(size) * size.cut().atOnce(kernels.threads());
  }

  private long passingBytes(Size size) {
    Workspace counting = Workspace.counting();
    Size group = size.of(size.cut().maxGroupSize());
    Forward.in(counting, group, cellBytes(group));
    return counting.size();
  }

  private long cellBytes(Size size) {
    return kernels.projectedMlstm().scratchBytes(size.cell(), size.blockSize);
  }

  /// The matrices ready for products.
  private record Ready(
      LinearKernel.Ready upMemory,
      LinearKernel.Ready upGate,
      LinearKernel.Ready gatesOfConvolved,
      LinearKernel.Ready gatesOfMemory,
      LinearKernel.Ready down) {}

  /// @param saved [#savedBytes] bytes; only read again if `keep`
  /// @param scratch [#forwardScratchBytes] bytes
  /// @param keep whether [#backward] will follow
  /// @param out `(B, S, D)`
  /// @param last the state after the last token; not the memory of the initial one
  public void forward(
      Size size,
      Weights weights,
      Inputs inputs,
      MemorySegment saved,
      MemorySegment scratch,
      boolean keep,
      MemorySegment out,
      State last) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    FoldedGates gates = FoldedGates.of(scratch, size, weights);
    int inner = size.inner;
    var ready =
        new Ready(
            linear.forForward(size.dim, inner, weights.upMemory(), threads),
            linear.forForward(size.dim, inner, weights.upGate(), threads),
            linear.forForward(inner, 2 * size.heads, gates.convolved(), threads),
            linear.forForward(inner, 2 * size.heads, gates.memory(), threads),
            linear.forForward(inner, size.dim, weights.down, threads));
    Saved all = saved(Workspace.of(saved), size);
    size.cut()
        .run(
            kernels,
            scratch.asSlice(FoldedGates.bytes(size)),
            passingBytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              forward(
                  own,
                  part,
                  weights,
                  ready,
                  gates.bias(),
                  inputs.of(group),
                  all.of(group),
                  Forward.in(Workspace.of(memory), part, cellBytes(part)),
                  keep,
                  group.of(out),
                  last.of(group));
            });
  }

  private static void forward(
      Kernels kernels,
      Size size,
      Weights weights,
      Ready ready,
      MemorySegment gateBias,
      Inputs inputs,
      Saved s,
      Forward p,
      boolean keep,
      MemorySegment out,
      State last) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    int inner = size.inner;
    norm(kernels, size, weights, inputs, p.normed(), s.normStatistics());
    var normed = new StridedMatrix(p.normed(), size.dim);
    var memory = new StridedMatrix(s.memory(), inner);
    var outputGate = new StridedMatrix(s.outputGate(), inner);
    linear.forward(size.up(), normed, ready.upMemory, null, null, memory, threads);
    linear.forward(size.up(), normed, ready.upGate, null, null, outputGate, threads);
    kernels
        .causalConv()
        .forward(size.conv(), s.convInputs(weights, inputs), s.convolved(), last.conv, threads);
    var convolved = new StridedMatrix(s.convolved(), inner);
    var gates = new StridedMatrix(s.gates(), 2 * size.heads);
    linear.forward(size.gates(), convolved, ready.gatesOfConvolved, gateBias, null, gates, threads);
    linear.forward(size.gates(), memory, ready.gatesOfMemory, null, gates, gates, threads);
    kernels
        .projectedMlstm()
        .forward(
            size.cell(),
            s.cellInputs(size, inputs),
            weights.projections(size),
            p.cell(),
            inputs.initial.cell,
            new StridedMatrix(s.h(), inner),
            last.cell,
            keep ? s.cell() : null);
    gated(kernels, size, weights, s, p.y());
    var x = new StridedMatrix(inputs.x, size.dim);
    linear.forward(
        size.down(),
        new StridedMatrix(p.y(), inner),
        ready.down,
        null,
        inputs.dropout == null ? x : null,
        new StridedMatrix(out, size.dim),
        threads);
    if (inputs.dropout != null) {
      kernels.elementwise().multiplyAdd(out, inputs.dropout, inputs.x, out, threads);
    }
  }

  private static void norm(
      Kernels kernels,
      Size size,
      Weights weights,
      Inputs inputs,
      MemorySegment normed,
      MemorySegment statistics) {
    var x = new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon);
    kernels.headNorm().forward(size.norm(), x, normed, statistics, kernels.threads());
  }

  private static void gated(Kernels kernels, Size size, Weights weights, Saved s, MemorySegment y) {
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            y,
            s.headStatistics(),
            kernels.threads());
  }

  /// Bytes of the memory that all groups use, and of what each works in.
  private record BackwardBytes(long gates, long sums, long factors, long group) {
    long all(int atOnce) {
      return gates + sums + factors + group * atOnce;
    }
  }

  private BackwardBytes backwardBytes(Size size, boolean drops) {
    boolean byGroup = sumsByGroup(size);
    long own = byGroup ? Factors.bytes(size.of(size.cut().maxGroupSize()), drops) : 0;
    return new BackwardBytes(
        FoldedGates.bytes(size),
        size.cut().groups() * Sums.bytes(size, byGroup),
        byGroup ? 0 : Factors.bytes(size, drops),
        returningBytes(size) + own);
  }

  private long returningBytes(Size size) {
    Workspace counting = Workspace.counting();
    Size group = size.of(size.cut().maxGroupSize());
    Backward.in(counting, group, cellBytes(group));
    return counting.size();
  }

  /// Bytes that [#backward] works in.
  ///
  /// @param drops whether the branch was dropped out
  public long backwardScratchBytes(Size size, boolean drops) {
    return backwardBytes(size, drops).all(size.cut().atOnce(kernels.threads()));
  }

  /// @param inputs as given to [#forward]
  /// @param saved what [#forward] wrote
  /// @param scratch [#backwardScratchBytes] bytes
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
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    int inner = size.inner;
    boolean drops = inputs.dropout != null;
    boolean byGroup = sumsByGroup(size);
    BackwardBytes bytes = backwardBytes(size, drops);
    FoldedGates gates = FoldedGates.of(scratch, size, weights);
    var ready =
        new Ready(
            linear.forBackward(size.dim, inner, weights.upMemory(), threads),
            linear.forBackward(size.dim, inner, weights.upGate(), threads),
            linear.forBackward(inner, 2 * size.heads, gates.convolved(), threads),
            linear.forBackward(inner, 2 * size.heads, gates.memory(), threads),
            linear.forBackward(inner, size.dim, weights.down, threads));
    Saved all = saved(Workspace.of(saved), size);
    MemorySegment sums = scratch.asSlice(bytes.gates, bytes.sums);
    MemorySegment behind = scratch.asSlice(bytes.gates + bytes.sums);
    @Nullable Factors factors = byGroup ? null : Factors.in(Workspace.of(behind), size, drops);
    long sumsBytes = Sums.bytes(size, byGroup);
    size.cut()
        .run(
            kernels,
            behind.asSlice(bytes.factors),
            bytes.group,
            (group, own, memory) -> {
              Size part = size.of(group.count());
              Workspace work = Workspace.of(memory);
              Factors mine = factors == null ? Factors.in(work, part, drops) : factors.of(group);
              MemorySegment to = sums.asSlice(group.number() * sumsBytes, sumsBytes);
              Sums dMine = Sums.in(Workspace.of(to), size, byGroup);
              backward(
                  own,
                  part,
                  weights,
                  ready,
                  inputs.of(group),
                  all.of(group),
                  mine,
                  Backward.in(work, part, cellBytes(part)),
                  group.of(dOut),
                  dLast == null ? null : dLast.of(group),
                  group.of(dx),
                  dMine,
                  dInitial.of(group));
              if (byGroup) {
                largeWeights(own, part, mine, group.of(dOut), dMine.weights());
              }
            });
    if (factors != null) {
      largeWeights(kernels, size, factors, dOut, dWeights);
    }
    writeSums(size, weights, sums, dWeights);
  }

  /// Gradients of the large weights.
  ///
  /// @param dOut gradient of the block's output, the branch's too where there is no dropout
  private static void largeWeights(
      Kernels kernels, Size size, Factors factors, MemorySegment dOut, Weights to) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    boolean drops = factors.branch().byteSize() > 0;
    var branch = new StridedMatrix(drops ? factors.branch() : dOut, size.dim);
    var y = new StridedMatrix(factors.y(), size.inner);
    var normed = new StridedMatrix(factors.normed(), size.dim);
    var dMemory = new StridedMatrix(factors.dMemory(), size.inner);
    var dOutputGate = new StridedMatrix(factors.dOutputGate(), size.inner);
    linear.backwardWeight(size.down(), y, branch, to.down, null, threads);
    linear.backwardWeight(size.up(), normed, dMemory, to.upMemory(), null, threads);
    linear.backwardWeight(size.up(), normed, dOutputGate, to.upGate(), null, threads);
  }

  /// Adds the groups' parts up in their order.
  private void writeSums(Size size, Weights weights, MemorySegment sums, Weights to) {
    boolean byGroup = sumsByGroup(size);
    long bytes = Sums.bytes(size, byGroup);
    MemorySegment first = sums.asSlice(0, bytes);
    for (int group = 1; group < size.cut().groups(); group++) {
      MemorySegment other = sums.asSlice(group * bytes, bytes);
      kernels.elementwise().add(first, other, first, kernels.threads());
    }
    Sums all = Sums.in(Workspace.of(first), size, byGroup);
    Weights from = all.weights();
    to.norm.copyFrom(from.norm);
    to.conv.copyFrom(from.conv);
    to.convBias.copyFrom(from.convBias);
    to.q.copyFrom(from.q);
    to.k.copyFrom(from.k);
    to.v.copyFrom(from.v);
    all.gates().unfold(size, weights, to);
    to.outnorm.copyFrom(from.outnorm);
    to.skip.copyFrom(from.skip);
    if (byGroup) {
      to.up.copyFrom(from.up);
      to.down.copyFrom(from.down);
    }
  }

  private static void backward(
      Kernels kernels,
      Size size,
      Weights weights,
      Ready ready,
      Inputs inputs,
      Saved s,
      Factors factors,
      Backward d,
      MemorySegment dOut,
      @Nullable StateGradient dLast,
      MemorySegment dx,
      Sums sums,
      StateGradient dInitial) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    Weights dWeights = sums.weights();
    int inner = size.inner;
    MemorySegment dBranch = dOut;
    if (inputs.dropout != null) {
      dBranch = factors.branch();
      kernels.elementwise().multiplyAdd(dOut, inputs.dropout, null, dBranch, threads);
    }
    var branch = new StridedMatrix(dBranch, size.dim);
    linear.backwardInput(
        size.down(), branch, ready.down, null, new StridedMatrix(d.dY(), inner), threads);
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            s.headStatistics(),
            d.dY(),
            new HeadNormKernel.Gradients(
                d.dH(),
                dWeights.outnorm,
                new HeadNormKernel.Gate(dWeights.skip, d.dConvolved(), factors.dOutputGate()),
                null),
            factors.y(),
            threads);

    var convolved = new StridedMatrix(s.convolved(), inner);
    var dConvolved = new StridedMatrix(d.dConvolved(), inner);
    var memory = new StridedMatrix(s.memory(), inner);
    var dMemory = new StridedMatrix(factors.dMemory(), inner);
    var dGates = new StridedMatrix(d.dGates(), 2 * size.heads);
    kernels
        .projectedMlstm()
        .backward(
            size.cell(),
            s.cellInputs(size, inputs),
            weights.projections(size),
            d.cell(),
            new StridedMatrix(s.h(), inner),
            s.cell(),
            new StridedMatrix(d.dH(), inner),
            dLast == null ? null : dLast.cell,
            new MlstmGradients(dConvolved, dConvolved, dMemory, dGates, dGates.from(size.heads)),
            dWeights.projections(size),
            dInitial.cell);
    FoldedGates to = sums.gates();
    linear.backwardWeight(size.gates(), convolved, dGates, to.convolved(), to.bias(), threads);
    linear.backwardWeight(size.gates(), memory, dGates, to.memory(), null, threads);
    linear.backwardInput(
        size.gates(), dGates, ready.gatesOfConvolved, dConvolved, dConvolved, threads);
    linear.backwardInput(size.gates(), dGates, ready.gatesOfMemory, dMemory, dMemory, threads);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            s.convInputs(weights, inputs),
            d.dConvolved(),
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                factors.dMemory(),
                dWeights.conv,
                dWeights.convBias,
                dInitial.conv,
                factors.dMemory()),
            threads);

    var dOutputGate = new StridedMatrix(factors.dOutputGate(), inner);
    var dNormed = new StridedMatrix(d.dNormed(), size.dim);
    linear.backwardInput(size.up(), dMemory, ready.upMemory, null, dNormed, threads);
    linear.backwardInput(size.up(), dOutputGate, ready.upGate, dNormed, dNormed, threads);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(dx, dWeights.norm, null, dOut),
            factors.normed(),
            threads);
  }
}
