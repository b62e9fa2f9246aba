package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole sLSTM block of the paper family, `y = x + slstm(norm(x))` and then, where there is one,
/// `y + ffn(norm(y))`, forward and backward (spec 1.3, 3.3): the other kernels in a row, with
/// nothing between them but memory.
///
/// R are the B x S positions, D the width of the residual stream, U that of the feed-forward. All
/// memory is float32, contiguous.
public final class SlstmBlockKernel {
  private final Kernels kernels;

  SlstmBlockKernel(Kernels kernels) {
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
  public record State(MemorySegment conv, SlstmKernel.State cell) {}

  /// @param conv gradient of the tail `(B, K-1, D)`
  public record StateGradient(MemorySegment conv, SlstmKernel.StateGradients cell) {}

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
      @Nullable MemorySegment starts) {}

  /// Everything between input and output, as it lies in the saved memory.
  private static final class Saved {
    final MemorySegment normed; // (R, D)
    final MemorySegment normStatistics;
    final MemorySegment convolved; // (R, D)
    final MemorySegment wx; // (R, 4, D)
    final MemorySegment cell;
    final MemorySegment h; // (R, D), of the cell
    final MemorySegment dropped; // (R, D)
    final MemorySegment headStatistics;
    final MemorySegment headNormed; // (R, D)
    final MemorySegment y; // (R, D), between the two halves
    final MemorySegment feedNormed; // (R, D)
    final MemorySegment feedStatistics;
    final MemorySegment both; // (R, 2 U)
    final MemorySegment active; // (R, U)

    Saved(Workspace from, Size size, boolean drops, long cellBytes) {
      long rows = size.rows();
      normed = from.floats(rows * size.dim);
      normStatistics = from.floats(rows * 2);
      convolved = from.floats(rows * size.dim);
      wx = from.floats(rows * 4 * size.dim);
      cell = from.bytes(cellBytes);
      h = from.floats(rows * size.dim);
      dropped = drops ? from.floats(rows * size.dim) : h;
      headStatistics = from.floats(rows * 2 * size.heads);
      headNormed = from.floats(rows * size.dim);
      boolean feeds = size.up > 0;
      y = from.floats(feeds ? rows * size.dim : 0);
      feedNormed = from.floats(feeds ? rows * size.dim : 0);
      feedStatistics = from.floats(feeds ? rows * 2 : 0);
      both = from.floats(rows * 2 * size.up);
      active = from.floats(rows * size.up);
    }

    CausalConvKernel.Inputs convInputs(Weights weights, Inputs inputs) {
      return new CausalConvKernel.Inputs(
          normed, weights.conv, weights.convBias, inputs.initial.conv, inputs.valid, inputs.starts);
    }

    SlstmKernel.Inputs cellInputs(Weights weights, Inputs inputs) {
      return new SlstmKernel.Inputs(
          wx, weights.r, weights.b, inputs.initial.cell, inputs.valid, inputs.starts);
    }

    HeadNormKernel.Inputs headNormInputs(Weights weights, float epsilon) {
      return new HeadNormKernel.Inputs(dropped, weights.groupNorm, null, epsilon);
    }
  }

  private Saved saved(Workspace from, Size size, boolean drops) {
    return new Saved(from, size, drops, kernels.slstm().savedBytes(size.cell()));
  }

  /// Bytes that [#forward] needs and leaves for [#backward].
  ///
  /// @param drops whether the cell's output is dropped out
  public long savedBytes(Size size, boolean drops) {
    Workspace counting = Workspace.counting();
    saved(counting, size, drops);
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
    Saved s = saved(Workspace.of(saved), size, inputs.cellDropout != null);
    int dim = size.dim;
    kernels
        .headNorm()
        .forward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normed,
            s.normStatistics,
            workers);
    kernels
        .causalConv()
        .forward(size.conv(), s.convInputs(weights, inputs), s.convolved, last.conv, workers);
    var normed = new Rows(s.normed, dim);
    var convolved = new Rows(s.convolved, dim);
    var wx = new Rows(s.wx, 4 * dim);
    HeadwiseKernel headwise = kernels.headwise();
    headwise.forward(size.headwise(), convolved, weights.i, wx);
    headwise.forward(size.headwise(), convolved, weights.f, wx.from(dim));
    headwise.forward(size.headwise(), normed, weights.z, wx.from(2 * dim));
    headwise.forward(size.headwise(), normed, weights.o, wx.from(3 * dim));
    kernels
        .slstm()
        .forward(
            size.cell(),
            s.cellInputs(weights, inputs),
            s.h,
            last.cell,
            keep ? s.cell : null,
            workers);
    if (inputs.cellDropout != null) {
      kernels.elementwise().multiplyAdd(s.h, inputs.cellDropout, null, s.dropped, workers);
    }
    kernels
        .headNorm()
        .forward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            s.headNormed,
            s.headStatistics,
            workers);
    MemorySegment y = size.up == 0 ? out : s.y;
    kernels.elementwise().add(inputs.x, s.headNormed, y, workers);
    if (weights.feedForward != null) {
      feedForward(size, weights.feedForward, inputs.dropout, s, out);
    }
  }

  private void feedForward(
      Size size, FeedForward weights, @Nullable MemorySegment dropout, Saved s, MemorySegment out) {
    Workers workers = kernels.workers();
    int dim = size.dim;
    kernels
        .headNorm()
        .forward(
            size.norm(),
            new HeadNormKernel.Inputs(s.y, weights.norm, null, size.epsilon),
            s.feedNormed,
            s.feedStatistics,
            workers);
    var both = new Rows(s.both, 2 * size.up);
    var feedNormed = new Rows(s.feedNormed, dim);
    kernels.linear().forward(size.upward(), feedNormed, weights.up, null, null, both, workers);
    kernels.gatedFeedForward().forward(size.activation(), s.both, s.active, workers);
    kernels
        .linear()
        .forward(
            size.downward(),
            new Rows(s.active, size.up),
            weights.down,
            null,
            dropout == null ? new Rows(s.y, dim) : null,
            new Rows(out, dim),
            workers);
    if (dropout != null) {
      kernels.elementwise().multiplyAdd(out, dropout, s.y, out, workers);
    }
  }

  /// Gradients of what lies between input and output.
  private static final class Scratch {
    final MemorySegment branch; // (R, D), of either half
    final MemorySegment y; // (R, D)
    final MemorySegment h; // (R, D)
    final MemorySegment wx; // (R, 4, D)
    final MemorySegment convolved; // (R, D)
    final MemorySegment normed; // (R, D)
    final MemorySegment both; // (R, 2 U)
    final MemorySegment active; // (R, U)

    Scratch(Workspace from, Size size) {
      long rows = size.rows();
      branch = from.floats(rows * size.dim);
      y = from.floats(rows * size.dim);
      h = from.floats(rows * size.dim);
      wx = from.floats(rows * 4 * size.dim);
      convolved = from.floats(rows * size.dim);
      normed = from.floats(rows * size.dim);
      both = from.floats(rows * 2 * size.up);
      active = from.floats(rows * size.up);
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
      State dInitial) {
    Workers workers = kernels.workers();
    Saved s = saved(Workspace.of(saved), size, inputs.cellDropout != null);
    var d = new Scratch(Workspace.of(scratch), size);
    int dim = size.dim;
    MemorySegment dY = dOut; // of the sum of x and the cell's branch
    if (weights.feedForward != null && dWeights.feedForward != null) {
      feedForwardBack(size, weights.feedForward, inputs.dropout, s, d, dOut, dWeights.feedForward);
      dY = d.y;
    }
    kernels
        .headNorm()
        .backward(
            size.headNorm(),
            s.headNormInputs(weights, size.epsilon),
            s.headStatistics,
            dY,
            new HeadNormKernel.Gradients(d.h, dWeights.groupNorm, null),
            workers);
    if (inputs.cellDropout != null) {
      kernels.elementwise().multiplyAdd(d.h, inputs.cellDropout, null, d.h, workers);
    }
    kernels
        .slstm()
        .backward(
            size.cell(),
            s.cellInputs(weights, inputs),
            s.h,
            s.cell,
            d.h,
            dLast == null ? SlstmKernel.StateGradients.NONE : dLast.cell,
            new SlstmKernel.Gradients(d.wx, dWeights.r, dWeights.b, dInitial.cell),
            workers);
    var normed = new Rows(s.normed, dim);
    var convolved = new Rows(s.convolved, dim);
    var dWx = new Rows(d.wx, 4 * dim);
    var dConvolved = new Rows(d.convolved, dim);
    var dNormed = new Rows(d.normed, dim);
    HeadwiseKernel headwise = kernels.headwise();
    HeadwiseShape shape = size.headwise();
    headwise.backward(shape, convolved, weights.i, dWx, dConvolved, false, dWeights.i);
    headwise.backward(shape, convolved, weights.f, dWx.from(dim), dConvolved, true, dWeights.f);
    kernels
        .causalConv()
        .backward(
            size.conv(),
            s.convInputs(weights, inputs),
            d.convolved,
            dLast == null ? null : dLast.conv,
            new CausalConvKernel.Gradients(
                d.normed, dWeights.conv, dWeights.convBias, dInitial.conv),
            workers);
    headwise.backward(shape, normed, weights.z, dWx.from(2 * dim), dNormed, true, dWeights.z);
    headwise.backward(shape, normed, weights.o, dWx.from(3 * dim), dNormed, true, dWeights.o);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(inputs.x, weights.norm, null, size.epsilon),
            s.normStatistics,
            d.normed,
            new HeadNormKernel.Gradients(dx, dWeights.norm, null),
            workers);
    kernels.elementwise().add(dx, dY, dx, workers);
  }

  private void feedForwardBack(
      Size size,
      FeedForward weights,
      @Nullable MemorySegment dropout,
      Saved s,
      Scratch d,
      MemorySegment dOut,
      FeedForward dWeights) {
    Workers workers = kernels.workers();
    LinearKernel linear = kernels.linear();
    int dim = size.dim;
    MemorySegment dBranch = dOut;
    if (dropout != null) {
      dBranch = d.branch;
      kernels.elementwise().multiplyAdd(dOut, dropout, null, dBranch, workers);
    }
    var branch = new Rows(dBranch, dim);
    var active = new Rows(s.active, size.up);
    var dActive = new Rows(d.active, size.up);
    linear.backwardWeight(size.downward(), active, branch, dWeights.down, null, workers);
    linear.backwardInput(size.downward(), branch, weights.down, null, dActive, workers);
    kernels.gatedFeedForward().backward(size.activation(), s.both, d.active, d.both, workers);
    var feedNormed = new Rows(s.feedNormed, dim);
    var dBoth = new Rows(d.both, 2 * size.up);
    linear.backwardWeight(size.upward(), feedNormed, dBoth, dWeights.up, null, workers);
    linear.backwardInput(size.upward(), dBoth, weights.up, null, new Rows(d.normed, dim), workers);
    kernels
        .headNorm()
        .backward(
            size.norm(),
            new HeadNormKernel.Inputs(s.y, weights.norm, null, size.epsilon),
            s.feedStatistics,
            d.normed,
            new HeadNormKernel.Gradients(d.y, dWeights.norm, null),
            workers);
    kernels.elementwise().add(d.y, dOut, d.y, workers);
  }
}
