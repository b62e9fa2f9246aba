package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.SlstmBlockWorkspace.Backward;
import io.xlstm4j.kernels.block.SlstmBlockWorkspace.Forward;
import io.xlstm4j.kernels.block.SlstmBlockWorkspace.Saved;
import io.xlstm4j.kernels.block.SlstmBlockWorkspace.Shared;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole sLSTM block of the paper family, `y = x + slstm(norm(x))` and then, where there is one,
/// `y + ffn(norm(y))`, forward and backward (docs/math.md 1.3, 3.3): the other kernels in a row,
/// with nothing between them but memory. A few rows of the batch go through all of them at once
/// ([SequenceGroups]); what is cheap to compute again is not saved.
///
/// R are the B x S positions, D the width of the residual stream, U that of the feed-forward. All
/// memory is float32, contiguous.
public final class SlstmBlockKernel {
  /// Rows of a group: the recurrent product is shared by so many.
  private static final int ROWS = 2;

  private final Kernels kernels;

  public SlstmBlockKernel(Kernels kernels) {
    this.kernels = kernels;
  }

  /// @param batch B
  /// @param length S
  /// @param dim D
  /// @param heads NH
  /// @param kernelSize K of the convolution, at least 2
  /// @param up U, or 0 without a feed-forward
  /// @param epsilon of all norms
  public record Size(
      int batch, int length, int dim, int heads, int kernelSize, int up, float epsilon) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    SequenceGroups cut() {
      return new SequenceGroups(batch, ROWS);
    }

    /// The same for fewer rows.
    Size of(int rows) {
      return new Size(rows, length, dim, heads, kernelSize, up, epsilon);
    }

    HeadNormKernel.Size norm() {
      return new HeadNormKernel.Size(rows(), 1, dim);
    }

    HeadNormKernel.Size headNorm() {
      return new HeadNormKernel.Size(rows(), heads, dim / heads);
    }

    CausalConvKernel.Size conv() {
      return new CausalConvKernel.Size(batch, length, dim, kernelSize);
    }

    HeadwiseShape headwise() {
      return new HeadwiseShape(rows(), heads, dim / heads, dim / heads);
    }

    SlstmKernel.Size cell() {
      return new SlstmKernel.Size(batch, length, heads, dim / heads);
    }

    LinearKernel.Size upward() {
      return new LinearKernel.Size(rows(), dim, 2 * up);
    }

    LinearKernel.Size downward() {
      return new LinearKernel.Size(rows(), up, dim);
    }

    GatedFeedForwardKernel.Size activation() {
      return new GatedFeedForwardKernel.Size(rows(), up);
    }
  }

  /// The parameters, or where their gradients go.
  ///
  /// @param norm `(D)`
  /// @param conv `(D, K)`
  /// @param convBias `(D)`
  /// @param i, f, z, o by the slot of the gate, `(NH, DH, DH)`
  /// @param r recurrent kernel `(NH, DHin, 4, DHout)`
  /// @param b `(NH, 4, DH)`
  /// @param groupNorm `(D)`, or null for a scale of one
  /// @param feedForward null if there is none
  public record Weights(
      MemorySegment norm,
      MemorySegment conv,
      MemorySegment convBias,
      MemorySegment i,
      MemorySegment f,
      MemorySegment z,
      MemorySegment o,
      MemorySegment r,
      MemorySegment b,
      @Nullable MemorySegment groupNorm,
      @Nullable FeedForward feedForward) {}

  /// @param norm `(D)`
  /// @param up `(2 U, D)`, gates first
  /// @param down `(D, U)`
  public record FeedForward(MemorySegment norm, MemorySegment up, MemorySegment down) {}

  /// @param conv the last K-1 inputs of the convolution `(B, K-1, D)`
  public record State(MemorySegment conv, SlstmKernel.State cell) {
    State of(SequenceGroups.Group group) {
      return new State(
          group.of(conv),
          new SlstmKernel.State(
              group.of(cell.y()), group.of(cell.c()), group.of(cell.n()), group.of(cell.m())));
    }
  }

  /// @param conv gradient of the tail `(B, K-1, D)`
  public record StateGradient(MemorySegment conv, SlstmKernel.StateGradients cell) {
    StateGradient of(SequenceGroups.Group group) {
      return new StateGradient(
          group.of(conv),
          new SlstmKernel.StateGradients(
              group.ofOptional(cell.y()),
              group.ofOptional(cell.c()),
              group.ofOptional(cell.n()),
              group.ofOptional(cell.m())));
    }
  }

  /// The inputs of a call besides the parameters.
  ///
  /// @param x `(B, S, D)`
  /// @param cellDropout what the cell's output is multiplied by `(B, S, D)`; null for one
  /// @param dropout what the feed-forward's output is multiplied by `(B, S, D)`; null for one
  /// @param valid, starts as in [SlstmKernel.Inputs]
  public record Inputs(
      MemorySegment x,
      State initial,
      @Nullable MemorySegment cellDropout,
      @Nullable MemorySegment dropout,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    Inputs of(SequenceGroups.Group group) {
      return new Inputs(
          group.of(x),
          initial.of(group),
          group.ofOptional(cellDropout),
          group.ofOptional(dropout),
          group.ofOptional(valid),
          group.ofOptional(starts));
    }
  }

  private long cellBytes(Size size) {
    return kernels.slstm().savedBytes(size.cell());
  }

  private Saved saved(Workspace from, Size size) {
    SequenceGroups cut = size.cut();
    return Saved.in(from, size, cut.groups() * cellBytes(size.of(cut.maxGroupSize())));
  }

  /// Bytes that [#forward] leaves for [#backward].
  public long savedBytes(Size size) {
    Workspace counting = Workspace.counting();
    saved(counting, size);
    return counting.size();
  }

  /// Bytes that [#forward] works in.
  public long forwardScratchBytes(Size size) {
    return Forward.bytes(size) * size.cut().atOnce(kernels.threads());
  }

  /// The feed-forward's matrices ready for products.
  private record Ready(LinearKernel.Ready up, LinearKernel.Ready down) {}

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
    FeedForward feed = weights.feedForward;
    LinearKernel linear = kernels.linear();
    KernelThreads threads = kernels.threads();
    @Nullable Ready ready =
        feed == null
            ? null
            : new Ready(
                linear.forForward(size.dim, 2 * size.up, feed.up, threads),
                linear.forForward(size.up, size.dim, feed.down, threads));
    Saved all = saved(Workspace.of(saved), size);
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
                  ready,
                  inputs.of(group),
                  all.of(group, cellBytes(part)),
                  Forward.in(Workspace.of(memory), part),
                  keep,
                  group.of(out),
                  last.of(group));
            });
  }

  private static void forward(
      Kernels kernels,
      Size size,
      Weights weights,
      @Nullable Ready ready,
      Inputs inputs,
      Saved s,
      Forward p,
      boolean keep,
      MemorySegment out,
      State last) {
    KernelThreads threads = kernels.threads();
    norm(kernels, size, inputs.x, weights.norm, p.normed(), s.normStatistics());
    kernels
        .causalConv()
        .forward(
            size.conv(),
            convInputs(p.normed(), weights, inputs),
            s.convolved(),
            last.conv,
            threads);
    var normed = new StridedMatrix(p.normed(), size.dim);
    var convolved = new StridedMatrix(s.convolved(), size.dim);
    var wx = new StridedMatrix(p.wx(), 4 * size.dim);
    HeadwiseKernel headwise = kernels.headwise();
    headwise.forward(size.headwise(), convolved, weights.i, wx);
    headwise.forward(size.headwise(), convolved, weights.f, wx.from(size.dim));
    headwise.forward(size.headwise(), normed, weights.z, wx.from(2 * size.dim));
    headwise.forward(size.headwise(), normed, weights.o, wx.from(3 * size.dim));
    kernels
        .slstm()
        .forward(
            size.cell(),
            cellInputs(p.wx(), weights, inputs),
            s.h(),
            last.cell,
            keep ? s.cell() : null,
            threads);
    MemorySegment h = dropped(kernels, inputs, s.h(), p.dropped());
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            new HeadNormKernel.Inputs(h, weights.groupNorm, null, size.epsilon),
            p.headNormed(),
            s.headStatistics(),
            threads);
    MemorySegment y = size.up == 0 ? out : s.y();
    kernels.elementwise().add(inputs.x, p.headNormed(), y, threads);
    if (weights.feedForward != null && ready != null) {
      feedForward(kernels, size, weights.feedForward, ready, inputs.dropout, s, p, out);
    }
  }

  private static void norm(
      Kernels kernels,
      Size size,
      MemorySegment x,
      MemorySegment weight,
      MemorySegment normed,
      MemorySegment statistics) {
    var inputs = new HeadNormKernel.Inputs(x, weight, null, size.epsilon);
    kernels.headNorm().forward(size.norm(), inputs, normed, statistics, kernels.threads());
  }

  private static CausalConvKernel.Inputs convInputs(
      MemorySegment normed, Weights weights, Inputs inputs) {
    return new CausalConvKernel.Inputs(
        normed, weights.conv, weights.convBias, inputs.initial.conv, inputs.valid, inputs.starts);
  }

  private static SlstmKernel.Inputs cellInputs(MemorySegment wx, Weights weights, Inputs inputs) {
    return new SlstmKernel.Inputs(
        wx, weights.r, weights.b, inputs.initial.cell, inputs.valid, inputs.starts);
  }

  /// The cell's output after dropout; itself where there is none.
  private static MemorySegment dropped(
      Kernels kernels, Inputs inputs, MemorySegment h, MemorySegment dropped) {
    if (inputs.cellDropout == null) {
      return h;
    }
    kernels.elementwise().multiplyAdd(h, inputs.cellDropout, null, dropped, kernels.threads());
    return dropped;
  }

  private static void feedForward(
      Kernels kernels,
      Size size,
      FeedForward weights,
      Ready ready,
      @Nullable MemorySegment dropout,
      Saved s,
      Forward p,
      MemorySegment out) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    norm(kernels, size, s.y(), weights.norm, p.normed(), s.feedStatistics());
    var normed = new StridedMatrix(p.normed(), size.dim);
    var both = new StridedMatrix(s.both(), 2 * size.up);
    linear.forward(size.upward(), normed, ready.up, null, null, both, threads);
    kernels.gatedFeedForward().forward(size.activation(), s.both(), p.active(), threads);
    var active = new StridedMatrix(p.active(), size.up);
    @Nullable StridedMatrix addend = dropout == null ? new StridedMatrix(s.y(), size.dim) : null;
    var to = new StridedMatrix(out, size.dim);
    linear.forward(size.downward(), active, ready.down, null, addend, to, threads);
    if (dropout != null) {
      kernels.elementwise().multiplyAdd(out, dropout, s.y(), out, threads);
    }
  }

  private static long sharedBytes(Size size, boolean drops) {
    Workspace counting = Workspace.counting();
    Shared.in(counting, size, drops);
    return counting.size();
  }

  /// Bytes that [#backward] works in.
  ///
  /// @param drops whether the feed-forward's output was dropped out
  public long backwardScratchBytes(Size size, boolean drops) {
    return sharedBytes(size, drops) + Backward.bytes(size) * size.cut().atOnce(kernels.threads());
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
      State dInitial) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    FeedForward feed = weights.feedForward;
    @Nullable Ready ready =
        feed == null
            ? null
            : new Ready(
                linear.forBackward(size.dim, 2 * size.up, feed.up, threads),
                linear.forBackward(size.up, size.dim, feed.down, threads));
    boolean drops = inputs.dropout != null;
    Saved all = saved(Workspace.of(saved), size);
    long sharedBytes = sharedBytes(size, drops);
    Shared shared = Shared.in(Workspace.of(scratch.asSlice(0, sharedBytes)), size, drops);
    long smallBytes = SlstmBlockWorkspace.smallBytes(size);
    size.cut()
        .run(
            kernels,
            scratch.asSlice(sharedBytes),
            Backward.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              MemorySegment sums = shared.sums().asSlice(group.number() * smallBytes, smallBytes);
              backward(
                  own,
                  part,
                  weights,
                  ready,
                  inputs.of(group),
                  all.of(group, cellBytes(part)),
                  shared.of(group),
                  Backward.in(Workspace.of(memory), part),
                  group.of(dOut),
                  dLast == null ? null : dLast.of(group),
                  group.of(dx),
                  SlstmBlockWorkspace.small(Workspace.of(sums), size),
                  dInitial.of(group));
            });
    FeedForward dFeed = dWeights.feedForward;
    if (dFeed != null) {
      var branch = new StridedMatrix(drops ? shared.branch() : dOut, size.dim);
      var active = new StridedMatrix(shared.active(), size.up);
      linear.backwardWeight(size.downward(), active, branch, dFeed.down, null, threads);
      var feedNormed = new StridedMatrix(shared.feedNormed(), size.dim);
      var dBoth = new StridedMatrix(shared.dBoth(), 2 * size.up);
      linear.backwardWeight(size.upward(), feedNormed, dBoth, dFeed.up, null, threads);
    }
    writeSums(size, shared.sums(), dWeights);
  }

  /// Adds the groups' parts up in their order.
  private void writeSums(Size size, MemorySegment sums, Weights to) {
    long bytes = SlstmBlockWorkspace.smallBytes(size);
    MemorySegment first = sums.asSlice(0, bytes);
    for (int group = 1; group < size.cut().groups(); group++) {
      MemorySegment other = sums.asSlice(group * bytes, bytes);
      kernels.elementwise().add(first, other, first, kernels.threads());
    }
    Weights from = SlstmBlockWorkspace.small(Workspace.of(first), size);
    to.norm.copyFrom(from.norm);
    to.conv.copyFrom(from.conv);
    to.convBias.copyFrom(from.convBias);
    to.i.copyFrom(from.i);
    to.f.copyFrom(from.f);
    to.z.copyFrom(from.z);
    to.o.copyFrom(from.o);
    to.r.copyFrom(from.r);
    to.b.copyFrom(from.b);
    if (to.groupNorm != null && from.groupNorm != null) {
      to.groupNorm.copyFrom(from.groupNorm);
    }
    if (to.feedForward != null && from.feedForward != null) {
      to.feedForward.norm.copyFrom(from.feedForward.norm);
    }
  }

  private static void backward(
      Kernels kernels,
      Size size,
      Weights weights,
      @Nullable Ready ready,
      Inputs inputs,
      Saved s,
      Shared shared,
      Backward d,
      MemorySegment dOut,
      @Nullable StateGradient dLast,
      MemorySegment dx,
      Weights dWeights,
      State dInitial) {
    KernelThreads threads = kernels.threads();
    MemorySegment dY = dOut; // of the sum of x and the cell's branch
    FeedForward dFeed = dWeights.feedForward;
    if (weights.feedForward != null && ready != null && dFeed != null) {
      feedForwardBack(
          kernels, size, weights.feedForward, ready, inputs.dropout, s, shared, d, dOut, dFeed);
      dY = d.dY();
    }
    MemorySegment h = dropped(kernels, inputs, s.h(), d.dropped());
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            new HeadNormKernel.Inputs(h, weights.groupNorm, null, size.epsilon),
            s.headStatistics(),
            dY,
            new HeadNormKernel.Gradients(d.dH(), dWeights.groupNorm, null, null),
            threads);
    if (inputs.cellDropout != null) {
      kernels.elementwise().multiplyAdd(d.dH(), inputs.cellDropout, null, d.dH(), threads);
    }
    kernels
        .slstm()
        .backward(
            size.cell(),
            cellInputs(d.dWx(), weights, inputs), // wx itself is not read again
            s.h(),
            s.cell(),
            d.dH(),
            dLast == null ? SlstmKernel.StateGradients.NONE : dLast.cell,
            new SlstmKernel.Gradients(d.dWx(), dWeights.r, dWeights.b, dInitial.cell),
            threads);
    norm(kernels, size, inputs.x, weights.norm, d.normed(), s.normStatistics());
    gatesBack(kernels, size, weights, inputs, s, d, dLast, dWeights, dInitial);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(dx, dWeights.norm, null, dY),
            threads);
  }

  /// From the gates to the normed input, by way of the convolution for two of them.
  private static void gatesBack(
      Kernels kernels,
      Size size,
      Weights weights,
      Inputs inputs,
      Saved s,
      Backward d,
      @Nullable StateGradient dLast,
      Weights dWeights,
      State dInitial) {
    int dim = size.dim;
    HeadwiseKernel headwise = kernels.headwise();
    HeadwiseShape shape = size.headwise();
    var normed = new StridedMatrix(d.normed(), dim);
    var convolved = new StridedMatrix(s.convolved(), dim);
    var dWx = new StridedMatrix(d.dWx(), 4 * dim);
    var dConvolved = new StridedMatrix(d.dConvolved(), dim);
    var dNormed = new StridedMatrix(d.dNormed(), dim);
    headwise.backward(shape, convolved, weights.i, dWx, dConvolved, false, dWeights.i);
    headwise.backward(shape, convolved, weights.f, dWx.from(dim), dConvolved, true, dWeights.f);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            convInputs(d.normed(), weights, inputs),
            d.dConvolved(),
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                d.dNormed(), dWeights.conv, dWeights.convBias, dInitial.conv),
            kernels.threads());
    headwise.backward(shape, normed, weights.z, dWx.from(2 * dim), dNormed, true, dWeights.z);
    headwise.backward(shape, normed, weights.o, dWx.from(3 * dim), dNormed, true, dWeights.o);
  }

  private static void feedForwardBack(
      Kernels kernels,
      Size size,
      FeedForward weights,
      Ready ready,
      @Nullable MemorySegment dropout,
      Saved s,
      Shared shared,
      Backward d,
      MemorySegment dOut,
      FeedForward dWeights) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    MemorySegment dBranch = dOut;
    if (dropout != null) {
      dBranch = shared.branch();
      kernels.elementwise().multiplyAdd(dOut, dropout, null, dBranch, threads);
    }
    var branch = new StridedMatrix(dBranch, size.dim);
    var dActive = new StridedMatrix(d.dActive(), size.up);
    kernels.gatedFeedForward().forward(size.activation(), s.both(), shared.active(), threads);
    linear.backwardInput(size.downward(), branch, ready.down, null, dActive, threads);
    kernels
        .gatedFeedForward()
        .backward(size.activation(), s.both(), d.dActive(), shared.dBoth(), threads);
    var dBoth = new StridedMatrix(shared.dBoth(), 2 * size.up);
    var dNormed = new StridedMatrix(d.dNormed(), size.dim);
    linear.backwardInput(size.upward(), dBoth, ready.up, null, dNormed, threads);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(s.y(), weights.norm, null, size.epsilon),
            s.feedStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(d.dY(), dWeights.norm, null, dOut),
            shared.feedNormed(),
            threads);
  }
}
