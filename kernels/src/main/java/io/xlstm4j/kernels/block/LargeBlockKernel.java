package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A whole block of the Large family, `y = x + mlstm(norm(x))` and then `y + ffn(norm(y))`, forward
/// and backward (docs/math.md 3.9): the other kernels in a row, with nothing between them but
/// memory. Each row of the batch goes through all of them at once ([SequenceGroups]); what is cheap
/// to compute again is not saved.
///
/// R are the B x S positions, D the width of the residual stream, QK that of all queries, V that of
/// all values, U that of the feed-forward. All memory is float32, contiguous.
public final class LargeBlockKernel {
  private static final int ROWS = 1; // of a group

  private final Kernels kernels;

  public LargeBlockKernel(Kernels kernels) {
    this.kernels = kernels;
  }

  /// @param batch B
  /// @param length S
  /// @param dim D
  /// @param qk QK
  /// @param v V
  /// @param heads NH
  /// @param up U
  /// @param gateCap bound of the input and forget gate, by tanh
  /// @param epsilon of all norms
  public record Size(
      int batch,
      int length,
      int dim,
      int qk,
      int v,
      int heads,
      int up,
      float gateCap,
      float epsilon) {
    int rows() {
      return Math.multiplyExact(batch, length);
    }

    SequenceGroups cut() {
      return new SequenceGroups(batch, ROWS);
    }

    /// The same for fewer rows.
    Size of(int rows) {
      return new Size(rows, length, dim, qk, v, heads, up, gateCap, epsilon);
    }

    /// Columns of q, k, v and o side by side.
    int projected() {
      return 2 * qk + 2 * v;
    }

    ScaledNormKernel.Size norm() {
      return new ScaledNormKernel.Size(rows(), 1, dim, false, epsilon);
    }

    ScaledNormKernel.Size headNorm() {
      return new ScaledNormKernel.Size(rows(), heads, v / heads, true, epsilon);
    }

    MlstmShape cell() {
      return new MlstmShape(batch, length, heads, qk / heads, v / heads);
    }

    LinearKernel.Size projection() {
      return new LinearKernel.Size(rows(), dim, projected());
    }

    LinearKernel.Size gates() {
      return new LinearKernel.Size(rows(), dim, 2 * heads);
    }

    LinearKernel.Size output() {
      return new LinearKernel.Size(rows(), v, dim);
    }

    LinearKernel.Size upward() {
      return new LinearKernel.Size(rows(), dim, 2 * up);
    }

    LinearKernel.Size downward() {
      return new LinearKernel.Size(rows(), up, dim);
    }

    SwiGluKernel.Size activation() {
      return new SwiGluKernel.Size(rows(), up);
    }
  }

  /// The parameters, or where their gradients go.
  ///
  /// @param norm `(D)`
  /// @param qkvo `(2 QK + 2 V, D)`, rows of queries, keys, values and output gate
  /// @param gates `(2 NH, D)`, rows of input and forget gates
  /// @param gateBias `(2 NH)`
  /// @param headNorm `(V)`
  /// @param out `(D, V)`
  /// @param feedNorm `(D)`
  /// @param up `(2 U, D)`, gates first
  /// @param down `(D, U)`
  public record Weights(
      MemorySegment norm,
      MemorySegment qkvo,
      MemorySegment gates,
      MemorySegment gateBias,
      MemorySegment headNorm,
      MemorySegment out,
      MemorySegment feedNorm,
      MemorySegment up,
      MemorySegment down) {}

  /// The inputs of a call besides the parameters.
  ///
  /// @param x `(B, S, D)`
  /// @param valid, starts as in [MlstmInputs]
  public record Inputs(
      MemorySegment x,
      MlstmState initial,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    Inputs of(SequenceGroups.Group group) {
      return new Inputs(
          group.of(x), part(group, initial), group.ofOptional(valid), group.ofOptional(starts));
    }
  }

  private static MlstmState part(SequenceGroups.Group group, MlstmState state) {
    return new MlstmState(group.of(state.c()), group.of(state.n()), group.of(state.m()));
  }

  private static MlstmStateGradient part(SequenceGroups.Group group, MlstmStateGradient state) {
    return new MlstmStateGradient(group.of(state.c()), group.of(state.n()));
  }

  /// The saved activations of all sequences or of a group.
  private record Saved(
      MemorySegment normStatistics,
      MemorySegment projected, // (R, 2 QK + 2 V)
      MemorySegment gates, // (R, 2 NH), capped
      MemorySegment cell,
      MemorySegment h, // (R, V)
      MemorySegment headStatistics,
      MemorySegment y, // (R, D), between the two halves
      MemorySegment feedStatistics,
      MemorySegment both) { // (R, 2 U)
    static Saved in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      return new Saved(
          from.floats(rows * 2),
          from.floats(rows * size.projected()),
          from.floats(rows * 2 * size.heads),
          from.bytes(cellBytes),
          from.floats(rows * size.v),
          from.floats(rows * 2 * size.heads),
          from.floats(rows * size.dim),
          from.floats(rows * 2),
          from.floats(rows * 2 * size.up));
    }

    Saved of(SequenceGroups.Group group) {
      return new Saved(
          group.of(normStatistics),
          group.of(projected),
          group.of(gates),
          group.of(cell),
          group.of(h),
          group.of(headStatistics),
          group.of(y),
          group.of(feedStatistics),
          group.of(both));
    }

    MlstmInputs cellInputs(Size size, Inputs inputs) {
      var qkv = new StridedMatrix(projected, size.projected());
      var gate = new StridedMatrix(gates, 2 * size.heads);
      return new MlstmInputs(
          qkv,
          qkv.from(size.qk),
          qkv.from(2 * size.qk),
          gate,
          gate.from(size.heads),
          inputs.valid,
          inputs.starts);
    }

    ScaledNormKernel.Inputs headNormInputs(Size size, Weights weights) {
      StridedMatrix gate =
          new StridedMatrix(projected, size.projected()).from(2 * size.qk + size.v);
      return new ScaledNormKernel.Inputs(h, weights.headNorm, gate);
    }
  }

  private Saved saved(Workspace from, Size size) {
    return Saved.in(from, size, kernels.mlstm().savedBytes(size.cell()));
  }

  /// Bytes that [#forward] leaves for [#backward].
  public long savedBytes(Size size) {
    Workspace counting = Workspace.counting();
    saved(counting, size);
    return counting.size();
  }

  /// Scratch of a group's forward pass.
  private record Forward(
      MemorySegment normed, // (R, D), of either half
      MemorySegment gated, // (R, V)
      MemorySegment active) { // (R, U)
    static Forward in(Workspace from, Size size) {
      long rows = size.rows();
      return new Forward(
          from.floats(rows * size.dim), from.floats(rows * size.v), from.floats(rows * size.up));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }

  /// Bytes that [#forward] works in.
  public long forwardScratchBytes(Size size) {
    return Forward.bytes(size) * size.cut().atOnce(kernels.threads());
  }

  /// The matrices ready for products.
  private record Ready(
      LinearKernel.Ready qkvo,
      LinearKernel.Ready gates,
      LinearKernel.Ready out,
      LinearKernel.Ready up,
      LinearKernel.Ready down) {}

  private Ready ready(Size size, Weights weights, boolean forward) {
    return new Ready(
        matrix(size.projection(), weights.qkvo, forward),
        matrix(size.gates(), weights.gates, forward),
        matrix(size.output(), weights.out, forward),
        matrix(size.upward(), weights.up, forward),
        matrix(size.downward(), weights.down, forward));
  }

  private LinearKernel.Ready matrix(LinearKernel.Size size, MemorySegment weight, boolean forward) {
    size.checkWeight(weight);
    return forward
        ? kernels.linear().forForward(size.in(), size.out(), weight, kernels.threads())
        : kernels.linear().forBackward(size.in(), size.out(), weight, kernels.threads());
  }

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
      MlstmState last) {
    Ready ready = ready(size, weights, true);
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
                  all.of(group),
                  Forward.in(Workspace.of(memory), part),
                  keep,
                  group.of(out),
                  part(group, last));
            });
  }

  private static void forward(
      Kernels kernels,
      Size size,
      Weights weights,
      Ready ready,
      Inputs inputs,
      Saved s,
      Forward p,
      boolean keep,
      MemorySegment out,
      MlstmState last) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    norm(kernels, size, inputs.x, weights.norm, p.normed, s.normStatistics);
    var normed = new StridedMatrix(p.normed, size.dim);
    var projected = new StridedMatrix(s.projected, size.projected());
    var gates = new StridedMatrix(s.gates, 2 * size.heads);
    linear.forward(size.projection(), normed, ready.qkvo, null, null, projected, threads);
    linear.forward(size.gates(), normed, ready.gates, weights.gateBias, null, gates, threads);
    kernels.softCap().forward(size.gateCap, s.gates, s.gates, threads);
    kernels
        .mlstm()
        .forward(
            size.cell(),
            s.cellInputs(size, inputs),
            inputs.initial,
            new StridedMatrix(s.h, size.v),
            last,
            keep ? s.cell : null);
    gated(kernels, size, weights, s, p.gated);
    var y = new StridedMatrix(s.y, size.dim);
    linear.forward(
        size.output(),
        new StridedMatrix(p.gated, size.v),
        ready.out,
        null,
        new StridedMatrix(inputs.x, size.dim),
        y,
        threads);
    norm(kernels, size, s.y, weights.feedNorm, p.normed, s.feedStatistics);
    var both = new StridedMatrix(s.both, 2 * size.up);
    linear.forward(size.upward(), normed, ready.up, null, null, both, threads);
    kernels.swiGlu().forward(size.activation(), s.both, p.active, threads);
    linear.forward(
        size.downward(),
        new StridedMatrix(p.active, size.up),
        ready.down,
        null,
        y,
        new StridedMatrix(out, size.dim),
        threads);
  }

  private static void norm(
      Kernels kernels,
      Size size,
      MemorySegment x,
      MemorySegment weight,
      MemorySegment normed,
      MemorySegment statistics) {
    var inputs = new ScaledNormKernel.Inputs(x, weight, null);
    kernels.scaledNorm().forward(size.norm(), inputs, normed, statistics, kernels.threads());
  }

  private static void gated(Kernels kernels, Size size, Weights weights, Saved s, MemorySegment y) {
    kernels
        .scaledNorm()
        .forward(
            size.headNorm(),
            s.headNormInputs(size, weights),
            y,
            s.headStatistics,
            kernels.threads());
  }

  /// The operands of the products that run over all sequences at once.
  private record Shared(
      MemorySegment normed, // (R, D)
      MemorySegment dProjected, // (R, 2 QK + 2 V)
      MemorySegment dGates, // (R, 2 NH)
      MemorySegment gated, // (R, V)
      MemorySegment dY, // (R, D)
      MemorySegment feedNormed, // (R, D)
      MemorySegment dBoth, // (R, 2 U)
      MemorySegment active, // (R, U)
      MemorySegment sums) { // (groups, norms)
    static Shared in(Workspace from, Size size) {
      long rows = size.rows();
      return new Shared(
          from.floats(rows * size.dim),
          from.floats(rows * size.projected()),
          from.floats(rows * 2 * size.heads),
          from.floats(rows * size.v),
          from.floats(rows * size.dim),
          from.floats(rows * size.dim),
          from.floats(rows * 2 * size.up),
          from.floats(rows * size.up),
          from.bytes(size.cut().groups() * Norms.bytes(size)));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size);
      return counting.size();
    }

    Shared of(SequenceGroups.Group group) {
      return new Shared(
          group.of(normed),
          group.of(dProjected),
          group.of(dGates),
          group.of(gated),
          group.of(dY),
          group.of(feedNormed),
          group.of(dBoth),
          group.of(active),
          sums);
    }
  }

  /// Gradients of the weights that each group sums for itself.
  private record Norms(MemorySegment norm, MemorySegment headNorm, MemorySegment feedNorm) {
    static Norms in(Workspace from, Size size) {
      return new Norms(from.floats(size.dim), from.floats(size.v), from.floats(size.dim));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size);
      return counting.size();
    }
  }

  /// Scratch of a group's backward pass.
  private record Backward(
      MemorySegment dActive, // (R, U)
      MemorySegment dNormed, // (R, D), of either half
      MemorySegment dGated, // (R, V)
      MemorySegment dH) { // (R, V)
    static Backward in(Workspace from, Size size) {
      long rows = size.rows();
      return new Backward(
          from.floats(rows * size.up),
          from.floats(rows * size.dim),
          from.floats(rows * size.v),
          from.floats(rows * size.v));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }

  /// Bytes that [#backward] works in.
  public long backwardScratchBytes(Size size) {
    return Shared.bytes(size) + Backward.bytes(size) * size.cut().atOnce(kernels.threads());
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
      @Nullable MlstmStateGradient dLast,
      MemorySegment dx,
      Weights dWeights,
      MlstmStateGradient dInitial) {
    Ready ready = ready(size, weights, false);
    Saved all = saved(Workspace.of(saved), size);
    long sharedBytes = Shared.bytes(size);
    Shared shared = Shared.in(Workspace.of(scratch.asSlice(0, sharedBytes)), size);
    long normBytes = Norms.bytes(size);
    size.cut()
        .run(
            kernels,
            scratch.asSlice(sharedBytes),
            Backward.bytes(size),
            (group, own, memory) -> {
              Size part = size.of(group.count());
              MemorySegment sums = shared.sums.asSlice(group.number() * normBytes, normBytes);
              backward(
                  own,
                  part,
                  weights,
                  ready,
                  inputs.of(group),
                  all.of(group),
                  shared.of(group),
                  Backward.in(Workspace.of(memory), part),
                  group.of(dOut),
                  dLast == null ? null : part(group, dLast),
                  group.of(dx),
                  Norms.in(Workspace.of(sums), size),
                  part(group, dInitial));
            });
    projections(size, shared, new StridedMatrix(dOut, size.dim), dWeights);
    MemorySegment sum = SlstmLayerKernel.sum(kernels, shared.sums, size.cut(), normBytes);
    Norms sums = Norms.in(Workspace.of(sum), size);
    dWeights.norm.copyFrom(sums.norm);
    dWeights.headNorm.copyFrom(sums.headNorm);
    dWeights.feedNorm.copyFrom(sums.feedNorm);
  }

  private void projections(Size size, Shared shared, StridedMatrix dOut, Weights to) {
    var normed = new StridedMatrix(shared.normed, size.dim);
    var dProjected = new StridedMatrix(shared.dProjected, size.projected());
    var dGates = new StridedMatrix(shared.dGates, 2 * size.heads);
    var gated = new StridedMatrix(shared.gated, size.v);
    var dY = new StridedMatrix(shared.dY, size.dim);
    var feedNormed = new StridedMatrix(shared.feedNormed, size.dim);
    var dBoth = new StridedMatrix(shared.dBoth, 2 * size.up);
    var active = new StridedMatrix(shared.active, size.up);
    new WeightGradients(kernels)
        .add(size.upward(), feedNormed, dBoth, to.up, null)
        .add(size.downward(), active, dOut, to.down, null)
        .add(size.projection(), normed, dProjected, to.qkvo, null)
        .add(size.output(), gated, dY, to.out, null)
        .add(size.gates(), normed, dGates, to.gates, to.gateBias)
        .run();
  }

  private static void backward(
      Kernels kernels,
      Size size,
      Weights weights,
      Ready ready,
      Inputs inputs,
      Saved s,
      Shared shared,
      Backward d,
      MemorySegment dOut,
      @Nullable MlstmStateGradient dLast,
      MemorySegment dx,
      Norms dNorms,
      MlstmStateGradient dInitial) {
    feedForwardBack(kernels, size, weights, ready, s, shared, d, dOut, dNorms);
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    gated(kernels, size, weights, s, shared.gated);
    var dProjected = new StridedMatrix(shared.dProjected, size.projected());
    linear.backwardInput(
        size.output(),
        new StridedMatrix(shared.dY, size.dim),
        ready.out,
        null,
        new StridedMatrix(d.dGated, size.v),
        threads);
    kernels
        .scaledNorm()
        .backward(
            size.headNorm(),
            s.headNormInputs(size, weights),
            s.headStatistics,
            d.dGated,
            new ScaledNormKernel.Gradients(
                d.dH, dNorms.headNorm, dProjected.from(2 * size.qk + size.v), null),
            threads);
    var dGates = new StridedMatrix(shared.dGates, 2 * size.heads);
    kernels
        .mlstm()
        .backward(
            size.cell(),
            s.cellInputs(size, inputs),
            new StridedMatrix(s.h, size.v),
            s.cell,
            new StridedMatrix(d.dH, size.v),
            dLast,
            new MlstmGradients(
                dProjected,
                dProjected.from(size.qk),
                dProjected.from(2 * size.qk),
                dGates,
                dGates.from(size.heads)),
            dInitial);
    kernels.softCap().backward(size.gateCap, s.gates, shared.dGates, shared.dGates, threads);
    norm(kernels, size, inputs.x, weights.norm, shared.normed, s.normStatistics);
    var dNormed = new StridedMatrix(d.dNormed, size.dim);
    linear.backwardInput(size.projection(), dProjected, ready.qkvo, null, dNormed, threads);
    linear.backwardInput(size.gates(), dGates, ready.gates, dNormed, dNormed, threads);
    kernels
        .scaledNorm()
        .backward(
            size.norm(),
            new ScaledNormKernel.Inputs(inputs.x, weights.norm, null),
            s.normStatistics,
            d.dNormed,
            new ScaledNormKernel.Gradients(dx, dNorms.norm, null, shared.dY),
            threads);
  }

  private static void feedForwardBack(
      Kernels kernels,
      Size size,
      Weights weights,
      Ready ready,
      Saved s,
      Shared shared,
      Backward d,
      MemorySegment dOut,
      Norms dNorms) {
    KernelThreads threads = kernels.threads();
    LinearKernel linear = kernels.linear();
    kernels.swiGlu().forward(size.activation(), s.both, shared.active, threads);
    linear.backwardInput(
        size.downward(),
        new StridedMatrix(dOut, size.dim),
        ready.down,
        null,
        new StridedMatrix(d.dActive, size.up),
        threads);
    kernels.swiGlu().backward(size.activation(), s.both, d.dActive, shared.dBoth, threads);
    norm(kernels, size, s.y, weights.feedNorm, shared.feedNormed, s.feedStatistics);
    linear.backwardInput(
        size.upward(),
        new StridedMatrix(shared.dBoth, 2 * size.up),
        ready.up,
        null,
        new StridedMatrix(d.dNormed, size.dim),
        threads);
    kernels
        .scaledNorm()
        .backward(
            size.norm(),
            new ScaledNormKernel.Inputs(s.y, weights.feedNorm, null),
            s.feedStatistics,
            d.dNormed,
            new ScaledNormKernel.Gradients(shared.dY, dNorms.feedNorm, null, dOut),
            threads);
  }
}
