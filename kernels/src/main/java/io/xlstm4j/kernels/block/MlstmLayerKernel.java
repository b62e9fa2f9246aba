package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.MlstmLayerWorkspace.Backward;
import io.xlstm4j.kernels.block.MlstmLayerWorkspace.Forward;
import io.xlstm4j.kernels.block.MlstmLayerWorkspace.Saved;
import io.xlstm4j.kernels.block.MlstmLayerWorkspace.Shared;
import io.xlstm4j.kernels.block.MlstmLayerWorkspace.Small;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The mLSTM layer of the README, whole (paper figure 11, one residual around all):
///
/// ```
/// n = norm(x),  m = W_memory n,  c = silu(conv(m)),  h = mlstm(W_q c, W_k c, W_v m, i(c), f(c))
/// y = x + W_down ((norm(h) + W_skip c) silu(W_gate n))
/// ```
///
/// Parameters in order: norm `(D)`, W_memory `(M, D)`, W_gate `(H, D)`, conv `(M, K)`, its bias
/// `(M)`, W_q, W_k, W_v `(H, M)`, W_i `(NH, M)`, its bias `(NH)`, W_f `(NH, M)`, its bias `(NH)`,
/// head norm `(H)`, W_skip `(H, M)`, W_down `(D, H)`. The state: the convolution's last inputs `(B,
/// K-1, M)`, then c `(B, NH, DH, DH)`, n `(B, NH, DH)` and m `(B, NH)` of the cell; m has no
/// gradient.
///
/// R are the B x S positions, D the width of inputs and outputs, M that of what the memory reads, H
/// = NH DH.
public final class MlstmLayerKernel implements LayerKernel {
  /// Positions of a group, at least: fewer are not worth a group.
  private static final int POSITIONS = 256;

  private final Kernels kernels;
  private final Dims dims;

  /// @param kernels what it is made of
  public MlstmLayerKernel(Kernels kernels, Dims dims) {
    this.kernels = kernels;
    this.dims = dims;
  }

  /// @param dim D
  /// @param memory M
  /// @param heads NH
  /// @param headDim DH
  /// @param kernelSize K of the convolution, at least 2
  /// @param epsilon of both norms
  public record Dims(int dim, int memory, int heads, int headDim, int kernelSize, float epsilon) {
    int hidden() {
      return Math.multiplyExact(heads, headDim);
    }
  }

  /// The sizes of a call.
  record Size(Dims dims, int batch, int length) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    SequenceGroups cut() {
      return new SequenceGroups(batch, Math.max(1, POSITIONS / length));
    }

    Size of(int rows) {
      return new Size(dims, rows, length);
    }

    HeadNormKernel.Size norm() {
      return new HeadNormKernel.Size(rows(), 1, dims.dim);
    }

    HeadNormKernel.Size headNorm() {
      return new HeadNormKernel.Size(rows(), dims.heads, dims.headDim);
    }

    CausalConvKernel.Size conv() {
      return new CausalConvKernel.Size(batch, length, dims.memory, dims.kernelSize);
    }

    MlstmShape cell() {
      return new MlstmShape(batch, length, dims.heads, dims.headDim, dims.headDim);
    }

    LinearKernel.Size toMemory() {
      return new LinearKernel.Size(rows(), dims.dim, dims.memory);
    }

    LinearKernel.Size toGate() {
      return new LinearKernel.Size(rows(), dims.dim, dims.hidden());
    }

    /// Queries, keys, values or the skip.
    LinearKernel.Size fromMemory() {
      return new LinearKernel.Size(rows(), dims.memory, dims.hidden());
    }

    LinearKernel.Size queriesKeys() {
      return new LinearKernel.Size(rows(), dims.memory, 2 * dims.hidden());
    }

    LinearKernel.Size cellGate() {
      return new LinearKernel.Size(rows(), dims.memory, dims.heads);
    }

    LinearKernel.Size cellGates() {
      return new LinearKernel.Size(rows(), dims.memory, 2 * dims.heads);
    }

    LinearKernel.Size downward() {
      return new LinearKernel.Size(rows(), dims.hidden(), dims.dim);
    }
  }

  record Weights(
      MemorySegment norm,
      MemorySegment memory,
      MemorySegment gate,
      MemorySegment conv,
      MemorySegment convBias,
      MemorySegment q,
      MemorySegment k,
      MemorySegment v,
      MemorySegment igate,
      MemorySegment igateBias,
      MemorySegment fgate,
      MemorySegment fgateBias,
      MemorySegment headNorm,
      MemorySegment skip,
      MemorySegment down) {
    static Weights of(List<MemorySegment> parameters) {
      Iterator<MemorySegment> p = parameters.iterator();
      return new Weights(
          p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(),
          p.next(), p.next(), p.next(), p.next(), p.next(), p.next());
    }
  }

  @Override
  public long[] parameterFloats() {
    long wide = (long) dims.hidden() * dims.memory;
    long gate = (long) dims.heads * dims.memory;
    return new long[] {
      dims.dim,
      (long) dims.memory * dims.dim,
      (long) dims.hidden() * dims.dim,
      (long) dims.memory * dims.kernelSize,
      dims.memory,
      wide,
      wide,
      wide,
      gate,
      dims.heads,
      gate,
      dims.heads,
      dims.hidden(),
      wide,
      (long) dims.dim * dims.hidden()
    };
  }

  record State(MemorySegment conv, MlstmState cell) {
    State of(SequenceGroups.Group group) {
      return new State(
          group.of(conv),
          new MlstmState(group.of(cell.c()), group.of(cell.n()), group.of(cell.m())));
    }

    MlstmStateGradient cellGradient() {
      return new MlstmStateGradient(cell.c(), cell.n());
    }
  }

  @Override
  public long stateFloats(int batch) {
    return batch * ((dims.kernelSize - 1L) * dims.memory + cellFloats());
  }

  /// Of a row.
  private long cellFloats() {
    return (long) dims.heads * (dims.headDim * (dims.headDim + 1L) + 1);
  }

  private State state(MemorySegment memory, int batch) {
    SegmentFloats.check("state", memory, stateFloats(batch), "of all rows");
    long tail = batch * (dims.kernelSize - 1L) * dims.memory * Float.BYTES;
    long n = (long) batch * dims.hidden() * Float.BYTES;
    long c = n * dims.headDim;
    return new State(
        memory.asSlice(0, tail),
        new MlstmState(
            memory.asSlice(tail, c), memory.asSlice(tail + c, n), memory.asSlice(tail + c + n)));
  }

  /// Queries and keys in one, and the gates of the cell.
  record Matrices(
      LinearKernel.Ready memory,
      LinearKernel.Ready gate,
      LinearKernel.Ready queriesKeys,
      LinearKernel.Ready values,
      LinearKernel.Ready cellGates,
      LinearKernel.Ready skip,
      LinearKernel.Ready down)
      implements Ready {}

  @Override
  public long readyScratchBytes() {
    return joinedBytes();
  }

  @Override
  public Ready ready(List<MemorySegment> parameters, MemorySegment scratch) {
    return matrices(Weights.of(parameters), scratch, true);
  }

  /// Of queries and keys, and of the gates of the cell.
  private long joinedBytes() {
    return 2L * (dims.hidden() + dims.heads) * dims.memory * Float.BYTES;
  }

  private Matrices matrices(Weights w, MemorySegment scratch, boolean forward) {
    int hidden = dims.hidden();
    int memory = dims.memory;
    long wide = 2L * hidden * memory * Float.BYTES;
    MemorySegment queriesKeys = scratch.asSlice(0, wide);
    MemorySegment gates = scratch.asSlice(wide, joinedBytes() - wide);
    SlstmLayerKernel.join(w.q, w.k, queriesKeys);
    SlstmLayerKernel.join(w.igate, w.fgate, gates);
    return new Matrices(
        matrix(dims.dim, memory, w.memory, forward),
        matrix(dims.dim, hidden, w.gate, forward),
        matrix(memory, 2 * hidden, queriesKeys, forward),
        matrix(memory, hidden, w.v, forward),
        matrix(memory, 2 * dims.heads, gates, forward),
        matrix(memory, hidden, w.skip, forward),
        matrix(hidden, dims.dim, w.down, forward));
  }

  private LinearKernel.Ready matrix(int in, int out, MemorySegment weight, boolean forward) {
    SegmentFloats.check("weight", weight, (long) in * out, "(O, I)");
    return forward
        ? kernels.linear().forForward(in, out, weight, kernels.threads())
        : kernels.linear().forBackward(in, out, weight, kernels.threads());
  }

  private Saved saved(Workspace from, Size size) {
    return Saved.in(from, size, kernels.mlstm().savedBytes(size.cell()));
  }

  @Override
  public long savedBytes(int batch, int length) {
    Workspace counting = Workspace.counting();
    saved(counting, new Size(dims, batch, length));
    return counting.size();
  }

  @Override
  public long forwardScratchBytes(int batch, int length) {
    var size = new Size(dims, batch, length);
    return biasBytes() + Forward.bytes(size) * size.cut().atOnce(kernels.threads());
  }

  /// Of both gates, on a boundary.
  private long biasBytes() {
    Workspace counting = Workspace.counting();
    counting.floats(2L * dims.heads);
    return counting.size();
  }

  @Override
  public void forward(
      Call call,
      List<MemorySegment> parameters,
      Ready ready,
      MemorySegment saved,
      MemorySegment scratch,
      boolean keep,
      MemorySegment out,
      MemorySegment last) {
    var size = new Size(dims, call.batch(), call.length());
    SegmentFloats.check("x", call.x(), (long) size.rows() * dims.dim, "(B, S, D)");
    SegmentFloats.check("out", out, (long) size.rows() * dims.dim, "(B, S, D)");
    Weights weights = Weights.of(parameters);
    Saved all = saved(Workspace.of(saved), size);
    for (int i = 0; i < dims.hidden(); i++) {
      SegmentFloats.set(all.ones(), i, 1);
    }
    MemorySegment bias = scratch.asSlice(0, 2L * dims.heads * Float.BYTES);
    long half = (long) dims.heads * Float.BYTES;
    MemorySegment.copy(weights.igateBias, 0, bias, 0, half);
    MemorySegment.copy(weights.fgateBias, 0, bias, half, half);
    State before = state(call.initial(), call.batch());
    State after = state(last, call.batch());
    size.cut()
        .run(
            kernels,
            scratch.asSlice(biasBytes()),
            Forward.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              forward(
                  own,
                  part,
                  weights,
                  (Matrices) ready,
                  bias,
                  call.of(group),
                  before.of(group),
                  all.of(group),
                  Forward.in(Workspace.of(memory), part),
                  keep,
                  group.of(out),
                  after.of(group));
            });
  }

  private static void forward(
      Kernels kernels,
      Size size,
      Weights weights,
      Matrices ready,
      MemorySegment gateBias,
      Call call,
      State initial,
      Saved s,
      Forward p,
      boolean keep,
      MemorySegment out,
      State last) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    Dims dims = size.dims;
    int hidden = dims.hidden();
    norm(kernels, size, call.x(), weights, p.normed(), s.normStatistics());
    var normed = new StridedMatrix(p.normed(), dims.dim);
    var memory = new StridedMatrix(s.memory(), dims.memory);
    var outputGate = new StridedMatrix(s.outputGate(), hidden);
    linear.forward(size.toMemory(), normed, ready.memory, null, null, memory, threads);
    linear.forward(size.toGate(), normed, ready.gate, null, null, outputGate, threads);
    kernels
        .causalConv()
        .forward(
            size.conv(), s.convInputs(weights, call, initial), s.convolved(), last.conv, threads);
    var convolved = new StridedMatrix(s.convolved(), dims.memory);
    var queriesKeys = new StridedMatrix(s.queriesKeys(), 2 * hidden);
    var values = new StridedMatrix(s.values(), hidden);
    var skipped = new StridedMatrix(s.skipped(), hidden);
    var gates = new StridedMatrix(s.gates(), 2 * dims.heads);
    linear.forward(
        size.queriesKeys(), convolved, ready.queriesKeys, null, null, queriesKeys, threads);
    linear.forward(size.fromMemory(), memory, ready.values, null, null, values, threads);
    linear.forward(size.fromMemory(), convolved, ready.skip, null, null, skipped, threads);
    linear.forward(size.cellGates(), convolved, ready.cellGates, gateBias, null, gates, threads);
    kernels
        .mlstm()
        .forward(
            size.cell(),
            s.cellInputs(dims, call),
            initial.cell,
            new StridedMatrix(s.h(), hidden),
            last.cell,
            keep ? s.cell() : null);
    gated(kernels, size, weights, s, p.y());
    linear.forward(
        size.downward(),
        new StridedMatrix(p.y(), hidden),
        ready.down,
        null,
        new StridedMatrix(call.x(), dims.dim),
        new StridedMatrix(out, dims.dim),
        threads);
  }

  private static void norm(
      Kernels kernels,
      Size size,
      MemorySegment x,
      Weights weights,
      MemorySegment normed,
      MemorySegment statistics) {
    var inputs = new HeadNormKernel.Inputs(x, weights.norm, null, size.dims.epsilon);
    kernels.headNorm().forward(size.norm(), inputs, normed, statistics, kernels.threads());
  }

  private static void gated(Kernels kernels, Size size, Weights weights, Saved s, MemorySegment y) {
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            s.headNormInputs(size.dims, weights),
            y,
            s.headStatistics(),
            kernels.threads());
  }

  @Override
  public long backwardScratchBytes(int batch, int length) {
    var size = new Size(dims, batch, length);
    return joinedBytes()
        + Shared.bytes(size)
        + Backward.bytes(size) * size.cut().atOnce(kernels.threads());
  }

  @Override
  public void backward(
      Call call,
      List<MemorySegment> parameters,
      MemorySegment saved,
      MemorySegment scratch,
      MemorySegment dOut,
      @Nullable MemorySegment dLast,
      MemorySegment dx,
      List<MemorySegment> dParameters,
      MemorySegment dInitial) {
    var size = new Size(dims, call.batch(), call.length());
    Weights weights = Weights.of(parameters);
    Matrices ready = matrices(weights, scratch, false);
    Saved all = saved(Workspace.of(saved), size);
    long sharedBytes = Shared.bytes(size);
    MemorySegment rest = scratch.asSlice(joinedBytes());
    Shared shared = Shared.in(Workspace.of(rest.asSlice(0, sharedBytes)), size);
    State before = state(call.initial(), call.batch());
    State dBefore = state(dInitial, call.batch());
    @Nullable State dAfter = dLast == null ? null : state(dLast, call.batch());
    long smallBytes = MlstmLayerWorkspace.smallBytes(dims);
    size.cut()
        .run(
            kernels,
            rest.asSlice(sharedBytes),
            Backward.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              MemorySegment sums = shared.sums().asSlice(group.number() * smallBytes, smallBytes);
              backward(
                  own,
                  part,
                  weights,
                  ready,
                  call.of(group),
                  before.of(group),
                  all.of(group),
                  shared.of(group),
                  Backward.in(Workspace.of(memory), part),
                  group.of(dOut),
                  dAfter == null ? null : dAfter.of(group),
                  group.of(dx),
                  Small.in(Workspace.of(sums), dims),
                  dBefore.of(group));
            });
    dBefore.cell.m().fill((byte) 0);
    Weights to = Weights.of(dParameters);
    projections(size, all, shared, new StridedMatrix(dOut, dims.dim), to);
    MemorySegment sum = SlstmLayerKernel.sum(kernels, shared.sums(), size.cut(), smallBytes);
    Small sums = Small.in(Workspace.of(sum), dims);
    to.norm.copyFrom(sums.norm());
    to.conv.copyFrom(sums.conv());
    to.convBias.copyFrom(sums.convBias());
    to.headNorm.copyFrom(sums.headNorm());
  }

  private void projections(Size size, Saved s, Shared shared, StridedMatrix dOut, Weights to) {
    int hidden = dims.hidden();
    var normed = new StridedMatrix(shared.normed(), dims.dim);
    var memory = new StridedMatrix(s.memory(), dims.memory);
    var convolved = new StridedMatrix(s.convolved(), dims.memory);
    var y = new StridedMatrix(shared.y(), hidden);
    var dQueriesKeys = new StridedMatrix(shared.dQueriesKeys(), 2 * hidden);
    var dValues = new StridedMatrix(shared.dValues(), hidden);
    var dSkipped = new StridedMatrix(shared.dSkipped(), hidden);
    var dMemory = new StridedMatrix(shared.dMemory(), dims.memory);
    var dOutputGate = new StridedMatrix(shared.dOutputGate(), hidden);
    var dGates = new StridedMatrix(shared.dGates(), 2 * dims.heads);
    LinearKernel.Size wide = size.fromMemory();
    new WeightGradients(kernels)
        .add(wide, convolved, dQueriesKeys, to.q, null)
        .add(wide, convolved, dQueriesKeys.from(hidden), to.k, null)
        .add(wide, memory, dValues, to.v, null)
        .add(wide, convolved, dSkipped, to.skip, null)
        .add(size.toMemory(), normed, dMemory, to.memory, null)
        .add(size.toGate(), normed, dOutputGate, to.gate, null)
        .add(size.downward(), y, dOut, to.down, null)
        .add(size.cellGate(), convolved, dGates, to.igate, to.igateBias)
        .add(size.cellGate(), convolved, dGates.from(dims.heads), to.fgate, to.fgateBias)
        .run();
  }

  private static void backward(
      Kernels kernels,
      Size size,
      Weights weights,
      Matrices ready,
      Call call,
      State initial,
      Saved s,
      Shared shared,
      Backward d,
      MemorySegment dOut,
      @Nullable State dLast,
      MemorySegment dx,
      Small dWeights,
      State dInitial) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    Dims dims = size.dims;
    int hidden = dims.hidden();
    linear.backwardInput(
        size.downward(),
        new StridedMatrix(dOut, dims.dim),
        ready.down,
        null,
        new StridedMatrix(d.dY(), hidden),
        threads);
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            s.headNormInputs(dims, weights),
            s.headStatistics(),
            d.dY(),
            new HeadNormKernel.Gradients(
                d.dH(),
                dWeights.headNorm(),
                new HeadNormKernel.Gate(dWeights.ones(), shared.dSkipped(), shared.dOutputGate()),
                null),
            shared.y(),
            threads);
    var dQueriesKeys = new StridedMatrix(shared.dQueriesKeys(), 2 * hidden);
    var dValues = new StridedMatrix(shared.dValues(), hidden);
    var dGates = new StridedMatrix(shared.dGates(), 2 * dims.heads);
    kernels
        .mlstm()
        .backward(
            size.cell(),
            s.cellInputs(dims, call),
            new StridedMatrix(s.h(), hidden),
            s.cell(),
            new StridedMatrix(d.dH(), hidden),
            dLast == null ? null : dLast.cellGradient(),
            new MlstmGradients(
                dQueriesKeys, dQueriesKeys.from(hidden), dValues, dGates, dGates.from(dims.heads)),
            dInitial.cellGradient());

    var dSkipped = new StridedMatrix(shared.dSkipped(), hidden);
    var dConvolved = new StridedMatrix(d.dConvolved(), dims.memory);
    linear.backwardInput(
        size.queriesKeys(), dQueriesKeys, ready.queriesKeys, null, dConvolved, threads);
    linear.backwardInput(size.fromMemory(), dSkipped, ready.skip, dConvolved, dConvolved, threads);
    linear.backwardInput(
        size.cellGates(), dGates, ready.cellGates, dConvolved, dConvolved, threads);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            s.convInputs(weights, call, initial),
            d.dConvolved(),
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                shared.dMemory(), dWeights.conv(), dWeights.convBias(), dInitial.conv),
            threads);
    var dMemory = new StridedMatrix(shared.dMemory(), dims.memory);
    linear.backwardInput(size.fromMemory(), dValues, ready.values, dMemory, dMemory, threads);

    var dNormed = new StridedMatrix(d.dNormed(), dims.dim);
    linear.backwardInput(size.toMemory(), dMemory, ready.memory, null, dNormed, threads);
    linear.backwardInput(
        size.toGate(),
        new StridedMatrix(shared.dOutputGate(), hidden),
        ready.gate,
        dNormed,
        dNormed,
        threads);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(call.x(), weights.norm, null, dims.epsilon),
            s.normStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(dx, dWeights.norm(), null, dOut),
            shared.normed(),
            threads);
  }
}
