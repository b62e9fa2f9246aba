package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.SlstmLayerWorkspace.Backward;
import io.xlstm4j.kernels.block.SlstmLayerWorkspace.Forward;
import io.xlstm4j.kernels.block.SlstmLayerWorkspace.Saved;
import io.xlstm4j.kernels.block.SlstmLayerWorkspace.Shared;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.Iterator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The sLSTM layer of the README, whole (paper figure 10, one residual around all):
///
/// ```
/// n = norm(x),  c = silu(conv(n)),  h = slstm(W_i c, W_f c, W_z n, W_o n)
/// y = x + W_down (gelu(u_1) u_2),   u = W_up norm(h)
/// ```
///
/// Parameters in order: norm `(D)`, conv `(D, K)`, its bias `(D)`, W of the gates i, f, z, o `(H,
/// D)` each, R `(NH, DHin, 4, DHout)`, b `(NH, 4, DH)`, head norm `(H)`, W_up `(2 U, H)` gates
/// first, W_down `(D, U)`. The state: the convolution's last inputs `(B, K-1, D)`, then y, c, n and
/// m of the cell `(B, NH, DH)`.
///
/// R are the B x S positions, D the width of inputs and outputs, H = NH DH, U the width of the
/// feed-forward.
public final class SlstmLayerKernel implements LayerKernel {
  /// Rows of a group: the recurrent product is shared by so many.
  private static final int ROWS = 4;

  /// Positions of a group, at least: fewer are not worth a group.
  private static final int POSITIONS = 256;

  private final Kernels kernels;
  private final Dims dims;

  /// @param kernels what it is made of
  public SlstmLayerKernel(Kernels kernels, Dims dims) {
    this.kernels = kernels;
    this.dims = dims;
  }

  /// @param dim D
  /// @param heads NH
  /// @param headDim DH
  /// @param up U
  /// @param kernelSize K of the convolution, at least 2
  /// @param epsilon of both norms
  public record Dims(int dim, int heads, int headDim, int up, int kernelSize, float epsilon) {
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
      return new SequenceGroups(batch, Math.max(ROWS, POSITIONS / length));
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
      return new CausalConvKernel.Size(batch, length, dims.dim, dims.kernelSize);
    }

    SlstmKernel.Size cell() {
      return new SlstmKernel.Size(batch, length, dims.heads, dims.headDim);
    }

    LinearKernel.Size gate() {
      return new LinearKernel.Size(rows(), dims.dim, dims.hidden());
    }

    LinearKernel.Size twoGates() {
      return new LinearKernel.Size(rows(), dims.dim, 2 * dims.hidden());
    }

    LinearKernel.Size upward() {
      return new LinearKernel.Size(rows(), dims.hidden(), 2 * dims.up);
    }

    LinearKernel.Size downward() {
      return new LinearKernel.Size(rows(), dims.up, dims.dim);
    }

    GatedFeedForwardKernel.Size activation() {
      return new GatedFeedForwardKernel.Size(rows(), dims.up);
    }
  }

  record Weights(
      MemorySegment norm,
      MemorySegment conv,
      MemorySegment convBias,
      MemorySegment i,
      MemorySegment f,
      MemorySegment z,
      MemorySegment o,
      MemorySegment r,
      MemorySegment b,
      MemorySegment headNorm,
      MemorySegment up,
      MemorySegment down) {
    static Weights of(List<MemorySegment> parameters) {
      Iterator<MemorySegment> p = parameters.iterator();
      return new Weights(
          p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(), p.next(),
          p.next(), p.next(), p.next());
    }
  }

  @Override
  public long[] parameterFloats() {
    long gate = (long) dims.hidden() * dims.dim;
    return new long[] {
      dims.dim,
      (long) dims.dim * dims.kernelSize,
      dims.dim,
      gate,
      gate,
      gate,
      gate,
      4L * dims.hidden() * dims.headDim,
      4L * dims.hidden(),
      dims.hidden(),
      2L * dims.up * dims.hidden(),
      (long) dims.dim * dims.up
    };
  }

  record State(MemorySegment conv, SlstmKernel.State cell) {
    State of(SequenceGroups.Group group) {
      return new State(
          group.of(conv),
          new SlstmKernel.State(
              group.of(cell.y()), group.of(cell.c()), group.of(cell.n()), group.of(cell.m())));
    }

    SlstmKernel.StateGradients cellGradients() {
      return new SlstmKernel.StateGradients(cell.y(), cell.c(), cell.n(), cell.m());
    }
  }

  @Override
  public long stateFloats(int batch) {
    return batch * ((dims.kernelSize - 1L) * dims.dim + 4L * dims.hidden());
  }

  private State state(MemorySegment memory, int batch) {
    SegmentFloats.check("state", memory, stateFloats(batch), "of all rows");
    long tail = batch * (dims.kernelSize - 1L) * dims.dim * Float.BYTES;
    long part = (long) batch * dims.hidden() * Float.BYTES;
    return new State(
        memory.asSlice(0, tail),
        new SlstmKernel.State(
            memory.asSlice(tail, part),
            memory.asSlice(tail + part, part),
            memory.asSlice(tail + 2 * part, part),
            memory.asSlice(tail + 3 * part, part)));
  }

  /// Gates two by two: i and f read the convolved input, z and o the input itself.
  record Matrices(
      LinearKernel.Ready inputForget,
      LinearKernel.Ready zOutput,
      LinearKernel.Ready up,
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

  /// Of the two pairs of gates.
  private long joinedBytes() {
    return 4L * dims.hidden() * dims.dim * Float.BYTES;
  }

  private Matrices matrices(Weights weights, MemorySegment scratch, boolean forward) {
    int hidden = dims.hidden();
    long pair = joinedBytes() / 2;
    MemorySegment inputForget = scratch.asSlice(0, pair);
    MemorySegment zOutput = scratch.asSlice(pair, pair);
    join(weights.i, weights.f, inputForget);
    join(weights.z, weights.o, zOutput);
    return new Matrices(
        matrix(dims.dim, 2 * hidden, inputForget, forward),
        matrix(dims.dim, 2 * hidden, zOutput, forward),
        matrix(hidden, 2 * dims.up, weights.up, forward),
        matrix(dims.up, dims.dim, weights.down, forward));
  }

  private LinearKernel.Ready matrix(int in, int out, MemorySegment weight, boolean forward) {
    SegmentFloats.check("weight", weight, (long) in * out, "(O, I)");
    return forward
        ? kernels.linear().forForward(in, out, weight, kernels.threads())
        : kernels.linear().forBackward(in, out, weight, kernels.threads());
  }

  /// Rows of one matrix and then those of another.
  static void join(MemorySegment first, MemorySegment second, MemorySegment both) {
    MemorySegment.copy(first, 0, both, 0, first.byteSize());
    MemorySegment.copy(second, 0, both, first.byteSize(), second.byteSize());
  }

  private long cellBytes(Size size) {
    return kernels.slstm().savedBytes(size.cell());
  }

  private Saved saved(Workspace from, Size size) {
    SequenceGroups cut = size.cut();
    return Saved.in(from, size, cut.groups() * cellBytes(size.of(cut.maxGroupSize())));
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
    return Forward.bytes(size) * size.cut().atOnce(kernels.threads());
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
    State before = state(call.initial(), call.batch());
    State after = state(last, call.batch());
    size.cut()
        .run(
            kernels,
            scratch,
            Forward.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              forward(
                  own,
                  part,
                  weights,
                  (Matrices) ready,
                  call.of(group),
                  before.of(group),
                  all.of(group, cellBytes(part)),
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
      Call call,
      State initial,
      Saved s,
      Forward p,
      boolean keep,
      MemorySegment out,
      State last) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    int dim = size.dims.dim;
    int hidden = size.dims.hidden();
    norm(kernels, size, call.x(), weights, p.normed(), s.normStatistics());
    kernels
        .causalConv()
        .forward(
            size.conv(),
            convInputs(p.normed(), weights, call, initial),
            s.convolved(),
            last.conv,
            threads);
    var normed = new StridedMatrix(p.normed(), dim);
    var convolved = new StridedMatrix(s.convolved(), dim);
    var wx = new StridedMatrix(p.wx(), 4 * hidden);
    linear.forward(size.twoGates(), convolved, ready.inputForget, null, null, wx, threads);
    linear.forward(
        size.twoGates(), normed, ready.zOutput, null, null, wx.from(2 * hidden), threads);
    kernels
        .slstm()
        .forward(
            size.cell(),
            cellInputs(p.wx(), weights, call, initial),
            s.h(),
            last.cell,
            keep ? s.cell() : null,
            threads);
    headNorm(kernels, size, weights, s, p.headNormed());
    var headNormed = new StridedMatrix(p.headNormed(), hidden);
    var both = new StridedMatrix(s.both(), 2 * size.dims.up);
    linear.forward(size.upward(), headNormed, ready.up, null, null, both, threads);
    kernels.gatedFeedForward().forward(size.activation(), s.both(), p.active(), threads);
    linear.forward(
        size.downward(),
        new StridedMatrix(p.active(), size.dims.up),
        ready.down,
        null,
        new StridedMatrix(call.x(), dim),
        new StridedMatrix(out, dim),
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

  private static void headNorm(
      Kernels kernels, Size size, Weights weights, Saved s, MemorySegment normed) {
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            headNormInputs(size, weights, s),
            normed,
            s.headStatistics(),
            kernels.threads());
  }

  private static HeadNormKernel.Inputs headNormInputs(Size size, Weights weights, Saved s) {
    return new HeadNormKernel.Inputs(s.h(), weights.headNorm, null, size.dims.epsilon);
  }

  private static CausalConvKernel.Inputs convInputs(
      MemorySegment normed, Weights weights, Call call, State initial) {
    return new CausalConvKernel.Inputs(
        normed, weights.conv, weights.convBias, initial.conv, call.valid(), call.starts());
  }

  private static SlstmKernel.Inputs cellInputs(
      MemorySegment wx, Weights weights, Call call, State initial) {
    return new SlstmKernel.Inputs(
        wx, weights.r, weights.b, initial.cell, call.valid(), call.starts());
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
    long smallBytes = SlstmLayerWorkspace.smallBytes(dims);
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
                  all.of(group, cellBytes(part)),
                  shared.of(group),
                  Backward.in(Workspace.of(memory), part),
                  group.of(dOut),
                  dAfter == null ? null : dAfter.of(group),
                  group.of(dx),
                  SlstmLayerWorkspace.small(Workspace.of(sums), dims),
                  dBefore.of(group));
            });
    Weights to = Weights.of(dParameters);
    var rows = new StridedMatrix(dOut, dims.dim);
    projections(size, all, shared, rows, to);
    Weights sums =
        SlstmLayerWorkspace.small(
            Workspace.of(sum(kernels, shared.sums(), size.cut(), smallBytes)), dims);
    to.norm.copyFrom(sums.norm);
    to.conv.copyFrom(sums.conv);
    to.convBias.copyFrom(sums.convBias);
    to.r.copyFrom(sums.r);
    to.b.copyFrom(sums.b);
    to.headNorm.copyFrom(sums.headNorm);
  }

  /// Adds the groups' parts up in their order.
  static MemorySegment sum(Kernels kernels, MemorySegment parts, SequenceGroups cut, long bytes) {
    MemorySegment first = parts.asSlice(0, bytes);
    for (int group = 1; group < cut.groups(); group++) {
      MemorySegment other = parts.asSlice(group * bytes, bytes);
      kernels.elementwise().add(first, other, first, kernels.threads());
    }
    return first;
  }

  private void projections(Size size, Saved s, Shared shared, StridedMatrix dOut, Weights to) {
    int hidden = dims.hidden();
    var normed = new StridedMatrix(shared.normed(), dims.dim);
    var convolved = new StridedMatrix(s.convolved(), dims.dim);
    var headNormed = new StridedMatrix(shared.headNormed(), hidden);
    var active = new StridedMatrix(shared.active(), dims.up);
    var dBoth = new StridedMatrix(shared.dBoth(), 2 * dims.up);
    var dWx = new StridedMatrix(shared.dWx(), 4 * hidden);
    new WeightGradients(kernels)
        .add(size.upward(), headNormed, dBoth, to.up, null)
        .add(size.downward(), active, dOut, to.down, null)
        .add(size.gate(), convolved, dWx, to.i, null)
        .add(size.gate(), convolved, dWx.from(hidden), to.f, null)
        .add(size.gate(), normed, dWx.from(2 * hidden), to.z, null)
        .add(size.gate(), normed, dWx.from(3 * hidden), to.o, null)
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
      Weights dWeights,
      State dInitial) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    int dim = size.dims.dim;
    int hidden = size.dims.hidden();
    int up = size.dims.up;
    kernels.gatedFeedForward().forward(size.activation(), s.both(), shared.active(), threads);
    linear.backwardInput(
        size.downward(),
        new StridedMatrix(dOut, dim),
        ready.down,
        null,
        new StridedMatrix(d.dActive(), up),
        threads);
    kernels
        .gatedFeedForward()
        .backward(size.activation(), s.both(), d.dActive(), shared.dBoth(), threads);
    linear.backwardInput(
        size.upward(),
        new StridedMatrix(shared.dBoth(), 2 * up),
        ready.up,
        null,
        new StridedMatrix(d.dHeadNormed(), hidden),
        threads);
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            headNormInputs(size, weights, s),
            s.headStatistics(),
            d.dHeadNormed(),
            new HeadNormKernel.Gradients(d.dH(), dWeights.headNorm, null, null),
            shared.headNormed(),
            threads);
    kernels
        .slstm()
        .backward(
            size.cell(),
            cellInputs(shared.dWx(), weights, call, initial), // wx itself is not read again
            s.h(),
            s.cell(),
            d.dH(),
            dLast == null ? SlstmKernel.StateGradients.NONE : dLast.cellGradients(),
            new SlstmKernel.Gradients(shared.dWx(), dWeights.r, dWeights.b, dInitial.cell),
            threads);

    norm(kernels, size, call.x(), weights, shared.normed(), s.normStatistics());
    var dWx = new StridedMatrix(shared.dWx(), 4 * hidden);
    var dNormed = new StridedMatrix(d.dNormed(), dim);
    linear.backwardInput(
        size.twoGates(),
        dWx,
        ready.inputForget,
        null,
        new StridedMatrix(d.dConvolved(), dim),
        threads);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            convInputs(shared.normed(), weights, call, initial),
            d.dConvolved(),
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                d.dNormed(), dWeights.conv, dWeights.convBias, dInitial.conv),
            threads);
    linear.backwardInput(
        size.twoGates(), dWx.from(2 * hidden), ready.zOutput, dNormed, dNormed, threads);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(call.x(), weights.norm, null, size.dims.epsilon),
            s.normStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(dx, dWeights.norm, null, dOut),
            threads);
  }
}
