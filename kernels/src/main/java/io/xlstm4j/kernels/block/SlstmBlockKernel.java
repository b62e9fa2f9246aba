package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.Rows;
import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.block.SlstmBlockMemory.Passing;
import io.xlstm4j.kernels.block.SlstmBlockMemory.Returning;
import io.xlstm4j.kernels.block.SlstmBlockMemory.Saved;
import io.xlstm4j.kernels.block.SlstmBlockMemory.Shared;
import io.xlstm4j.kernels.memory.Workers;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole sLSTM block of the paper family, `y = x + slstm(norm(x))` and then, where there is one,
/// `y + ffn(norm(y))`, forward and backward (spec 1.3, 3.3): the other kernels in a row, with
/// nothing between them but memory. A few rows of the batch go through all of them at once
/// ([BatchRows]); what is cheap to compute again is not saved.
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
  /// @param taps K of the convolution, at least 2
  /// @param up U, or 0 without a feed-forward
  /// @param epsilon of all norms
  public record Size(int batch, int length, int dim, int heads, int taps, int up, float epsilon) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    BatchRows cut() {
      return new BatchRows(batch, ROWS);
    }

    /// The same for fewer rows.
    Size of(int rows) {
      return new Size(rows, length, dim, heads, taps, up, epsilon);
    }

    HeadNormKernel.Size norm() {
      return new HeadNormKernel.Size(rows(), 1, dim);
    }

    HeadNormKernel.Size headNorm() {
      return new HeadNormKernel.Size(rows(), heads, dim / heads);
    }

    CausalConvKernel.Size conv() {
      return new CausalConvKernel.Size(batch, length, dim, taps);
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
    State of(BatchRows.Group group) {
      return new State(
          group.of(conv),
          new SlstmKernel.State(
              group.of(cell.y()), group.of(cell.c()), group.of(cell.n()), group.of(cell.m())));
    }
  }

  /// @param conv gradient of the tail `(B, K-1, D)`
  public record StateGradient(MemorySegment conv, SlstmKernel.StateGradients cell) {
    StateGradient of(BatchRows.Group group) {
      return new StateGradient(
          group.of(conv),
          new SlstmKernel.StateGradients(
              group.ofOptional(cell.y()),
              group.ofOptional(cell.c()),
              group.ofOptional(cell.n()),
              group.ofOptional(cell.m())));
    }
  }

  /// What a call reads besides the parameters.
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
    Inputs of(BatchRows.Group group) {
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
    BatchRows cut = size.cut();
    return Saved.in(from, size, cut.groups() * cellBytes(size.of(cut.most())));
  }

  /// Bytes that [#forward] leaves for [#backward].
  public long savedBytes(Size size) {
    Workspace counting = Workspace.counting();
    saved(counting, size);
    return counting.size();
  }

  /// Bytes that [#forward] works in.
  public long forwardScratchBytes(Size size) {
    return Passing.bytes(size) * size.cut().atOnce(kernels.workers());
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
    Workers workers = kernels.workers();
    @Nullable Ready ready =
        feed == null
            ? null
            : new Ready(
                linear.forForward(size.dim, 2 * size.up, feed.up, workers),
                linear.forForward(size.up, size.dim, feed.down, workers));
    Saved all = saved(Workspace.of(saved), size);
    size.cut()
        .run(
            kernels,
            scratch,
            Passing.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              forward(
                  own,
                  part,
                  weights,
                  ready,
                  inputs.of(group),
                  all.of(group, cellBytes(part)),
                  Passing.in(Workspace.of(memory), part),
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
      Passing p,
      boolean keep,
      MemorySegment out,
      State last) {
    Workers workers = kernels.workers();
    norm(kernels, size, inputs.x, weights.norm, p.normed(), s.normStatistics());
    kernels
        .causalConv()
        .forward(
            size.conv(),
            convInputs(p.normed(), weights, inputs),
            s.convolved(),
            last.conv,
            workers);
    var normed = new Rows(p.normed(), size.dim);
    var convolved = new Rows(s.convolved(), size.dim);
    var wx = new Rows(p.wx(), 4 * size.dim);
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
            workers);
    MemorySegment h = dropped(kernels, inputs, s.h(), p.dropped());
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            new HeadNormKernel.Inputs(h, weights.groupNorm, null, size.epsilon),
            p.headNormed(),
            s.headStatistics(),
            workers);
    MemorySegment y = size.up == 0 ? out : s.y();
    kernels.elementwise().add(inputs.x, p.headNormed(), y, workers);
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
    kernels.headNorm().forward(size.norm(), inputs, normed, statistics, kernels.workers());
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
    kernels.elementwise().multiplyAdd(h, inputs.cellDropout, null, dropped, kernels.workers());
    return dropped;
  }

  private static void feedForward(
      Kernels kernels,
      Size size,
      FeedForward weights,
      Ready ready,
      @Nullable MemorySegment dropout,
      Saved s,
      Passing p,
      MemorySegment out) {
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    norm(kernels, size, s.y(), weights.norm, p.normed(), s.feedStatistics());
    var normed = new Rows(p.normed(), size.dim);
    var both = new Rows(s.both(), 2 * size.up);
    linear.forward(size.upward(), normed, ready.up, null, null, both, workers);
    kernels.gatedFeedForward().forward(size.activation(), s.both(), p.active(), workers);
    var active = new Rows(p.active(), size.up);
    @Nullable Rows plus = dropout == null ? new Rows(s.y(), size.dim) : null;
    var to = new Rows(out, size.dim);
    linear.forward(size.downward(), active, ready.down, null, plus, to, workers);
    if (dropout != null) {
      kernels.elementwise().multiplyAdd(out, dropout, s.y(), out, workers);
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
    return sharedBytes(size, drops) + Returning.bytes(size) * size.cut().atOnce(kernels.workers());
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
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    FeedForward feed = weights.feedForward;
    @Nullable Ready ready =
        feed == null
            ? null
            : new Ready(
                linear.forBackward(size.dim, 2 * size.up, feed.up, workers),
                linear.forBackward(size.up, size.dim, feed.down, workers));
    boolean drops = inputs.dropout != null;
    Saved all = saved(Workspace.of(saved), size);
    long sharedBytes = sharedBytes(size, drops);
    Shared shared = Shared.in(Workspace.of(scratch.asSlice(0, sharedBytes)), size, drops);
    long smallBytes = SlstmBlockMemory.smallBytes(size);
    size.cut()
        .run(
            kernels,
            scratch.asSlice(sharedBytes),
            Returning.bytes(size),
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
                  Returning.in(Workspace.of(memory), part),
                  group.of(dOut),
                  dLast == null ? null : dLast.of(group),
                  group.of(dx),
                  SlstmBlockMemory.small(Workspace.of(sums), size),
                  dInitial.of(group));
            });
    FeedForward dFeed = dWeights.feedForward;
    if (dFeed != null) {
      var branch = new Rows(drops ? shared.branch() : dOut, size.dim);
      var active = new Rows(shared.active(), size.up);
      linear.backwardWeight(size.downward(), active, branch, dFeed.down, null, workers);
      var feedNormed = new Rows(shared.feedNormed(), size.dim);
      var dBoth = new Rows(shared.dBoth(), 2 * size.up);
      linear.backwardWeight(size.upward(), feedNormed, dBoth, dFeed.up, null, workers);
    }
    writeSums(size, shared.sums(), dWeights);
  }

  /// Adds the groups' parts up in their order.
  private void writeSums(Size size, MemorySegment sums, Weights to) {
    long bytes = SlstmBlockMemory.smallBytes(size);
    MemorySegment first = sums.asSlice(0, bytes);
    for (int group = 1; group < size.cut().groups(); group++) {
      MemorySegment other = sums.asSlice(group * bytes, bytes);
      kernels.elementwise().add(first, other, first, kernels.workers());
    }
    Weights from = SlstmBlockMemory.small(Workspace.of(first), size);
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
      Returning d,
      MemorySegment dOut,
      @Nullable StateGradient dLast,
      MemorySegment dx,
      Weights dWeights,
      State dInitial) {
    Workers workers = kernels.workers();
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
            workers);
    if (inputs.cellDropout != null) {
      kernels.elementwise().multiplyAdd(d.dH(), inputs.cellDropout, null, d.dH(), workers);
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
            workers);
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
            workers);
  }

  /// From the gates to the normed input, by way of the convolution for two of them.
  private static void gatesBack(
      Kernels kernels,
      Size size,
      Weights weights,
      Inputs inputs,
      Saved s,
      Returning d,
      @Nullable StateGradient dLast,
      Weights dWeights,
      State dInitial) {
    int dim = size.dim;
    HeadwiseKernel headwise = kernels.headwise();
    HeadwiseShape shape = size.headwise();
    var normed = new Rows(d.normed(), dim);
    var convolved = new Rows(s.convolved(), dim);
    var dWx = new Rows(d.dWx(), 4 * dim);
    var dConvolved = new Rows(d.dConvolved(), dim);
    var dNormed = new Rows(d.dNormed(), dim);
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
            kernels.workers());
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
      Returning d,
      MemorySegment dOut,
      FeedForward dWeights) {
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    MemorySegment dBranch = dOut;
    if (dropout != null) {
      dBranch = shared.branch();
      kernels.elementwise().multiplyAdd(dOut, dropout, null, dBranch, workers);
    }
    var branch = new Rows(dBranch, size.dim);
    var dActive = new Rows(d.dActive(), size.up);
    kernels.gatedFeedForward().forward(size.activation(), s.both(), shared.active(), workers);
    linear.backwardInput(size.downward(), branch, ready.down, null, dActive, workers);
    kernels
        .gatedFeedForward()
        .backward(size.activation(), s.both(), d.dActive(), shared.dBoth(), workers);
    var dBoth = new Rows(shared.dBoth(), 2 * size.up);
    var dNormed = new Rows(d.dNormed(), size.dim);
    linear.backwardInput(size.upward(), dBoth, ready.up, null, dNormed, workers);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(s.y(), weights.norm, null, size.epsilon),
            s.feedStatistics(),
            d.dNormed(),
            new HeadNormKernel.Gradients(d.dY(), dWeights.norm, null, dOut),
            shared.feedNormed(),
            workers);
  }
}
