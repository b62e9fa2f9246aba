package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.unsafe_split;

import io.xlstm4j.kernels.block.LayerKernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.jspecify.annotations.Nullable;

/// Steps of a layer that follow each other, in the graph one operation: going back, they are the
/// sequence they make up, computed once more with all that its backward pass needs.
///
/// ```
/// first input, initial state ─► zero ─► outputs of all steps ─► split ─► output of each
///                                  └──► states that somebody looks at
/// ```
///
/// Inputs after the first must want no gradient: the operation's inputs are known when it begins.
final class RecordedSteps {
  private final FusedLayer layer;
  private final int batch;
  private final int capacity;
  private final MemorySegment inputs; // (capacity, B, D)
  private final MemorySegment outputs; // (capacity, B, D)
  private final MemorySegment initial;
  private final HandWrittenBackward.Open open;
  private final Tensor zero;
  private final @Nullable TensorVector split;
  private final Tensor all; // (capacity * B, D)
  private final int[] ties; // by step: number of the gradient of the state after it, 0 for none
  private final FusedLayer.Stamp stamp;
  private int length;
  private boolean released;

  /// @param input of the first step `(B, D)`
  /// @param state before it
  /// @param capacity most steps; 1 exactly if `input` wants a gradient, so that others may follow
  RecordedSteps(FusedLayer layer, Tensor input, Tensor state, int capacity) {
    this.layer = layer;
    this.capacity = capacity;
    stamp = layer.stamp();
    batch = (int) input.size(0);
    long rows = (long) capacity * batch;
    ties = new int[capacity];
    Tensor xs = TensorSegments.floats(rows, layer.dim());
    all = Scopes.keep(TensorSegments.floats(rows, layer.dim()));
    inputs = TensorSegments.segment(xs);
    outputs = TensorSegments.segment(all);
    initial = TensorSegments.segment(state);
    open = HandWrittenBackward.open(List.of(input, state), List.of(xs), this::backward);
    zero = Scopes.keep(open.zero());
    open.add(all);
    split = capacity == 1 ? null : unsafe_split(all, batch, 0);
    if (split != null) {
      split.retainReference();
    }
  }

  /// Takes the next step's place, if the chain may go on from `state`.
  ///
  /// @return its number, or -1
  synchronized int claim(@Nullable LayerState state, int rows) {
    boolean begins = state == null && length == 0;
    boolean goesOn =
        state != null
            && state.recorded() != null
            && state.recorded().steps() == this
            && state.recorded().step() == length - 1;
    if (released || open.isSpent() || length == capacity || rows != batch || !(begins || goesOn)) {
      return -1;
    }
    return length++;
  }

  int capacity() {
    return capacity;
  }

  /// Returns the memory of a step's input `(B, D)`.
  MemorySegment input(int step) {
    return row(inputs, step);
  }

  /// Returns the memory of a step's output `(B, D)`.
  MemorySegment output(int step) {
    return row(outputs, step);
  }

  private MemorySegment row(MemorySegment all, int step) {
    long bytes = all.byteSize() / capacity;
    return all.asSlice(step * bytes, bytes);
  }

  /// The output of a step, owned by the caller's scope.
  synchronized Tensor outputTensor(int step) {
    return split == null ? new Tensor(all) : new Tensor(split.get(step));
  }

  /// A handle of the number that all outputs depend on, owned by the caller's scope.
  synchronized Tensor zero() {
    return new Tensor(zero);
  }

  /// Lets go of all handles: no more steps. What a graph holds stays.
  synchronized void release() {
    if (!released) {
      released = true;
      if (split != null) {
        split.releaseReference();
      }
      Scopes.release(all);
      Scopes.release(zero);
    }
  }

  /// Makes a state part of the graph, once.
  synchronized void tie(Tensor memory, LayerState.Recorded state) {
    if (ties[state.step()] == 0 && HandWrittenBackward.isOn()) {
      ties[state.step()] = open.with(state.zero()).add(memory);
    }
  }

  // ---- backward --------------------------------------------------------------------------------

  /// A part of the chain that no gradient of a state interrupts.
  ///
  /// @param dLast number of the gradient of the state after it, 0 for none
  private record Stretch(int from, int to, int dLast) {
    int length() {
      return to - from;
    }
  }

  private synchronized List<Stretch> stretches(@Nullable Tensor[] gradients) {
    var stretches = new ArrayList<Stretch>();
    int from = 0;
    for (int step = 0; step < length; step++) {
      int tie = ties[step];
      boolean wanted = tie > 0 && gradients[tie] != null;
      if (wanted || step == length - 1) {
        stretches.add(new Stretch(from, step + 1, wanted ? tie : 0));
        from = step + 1;
      }
    }
    return stretches;
  }

  private Tensor[] backward(@Nullable Tensor[] gradients) {
    if (!stamp.equals(layer.stamp())) {
      throw new IllegalStateException(
          "parameters of the layer were changed between its steps and the backward pass; go back"
              + " first, or run the steps again");
    }
    List<Stretch> stretches = stretches(gradients);
    var done = new ArrayList<FusedLayer.Kept>();
    MemorySegment state = initial;
    for (Stretch stretch : stretches) {
      Tensor x = TensorSegments.floats(batch, stretch.length(), layer.dim());
      toRows(inputs, stretch, x);
      var call =
          new LayerKernel.Call(
              batch, stretch.length(), TensorSegments.segment(x), state, null, null);
      FusedLayer.Kept kept = layer.run(call);
      done.add(kept);
      state = kept.last();
    }
    @Nullable Tensor carried = null;
    Tensor dx = TensorSegments.floats(0);
    for (int i = stretches.size() - 1; i >= 0; i--) {
      Stretch stretch = stretches.get(i);
      Tensor dOut = TensorSegments.floats(batch, stretch.length(), layer.dim());
      Tensor dAll = gradients[0];
      if (dAll == null) {
        dOut.zero_();
      } else {
        toRows(TensorSegments.segment(dAll), stretch, dOut);
      }
      @Nullable Tensor own = stretch.dLast == 0 ? null : gradients[stretch.dLast];
      @Nullable Tensor dLast = own == null || carried == null ? own : own.add(carried);
      FusedLayer.InputGradients back =
          layer.back(done.get(i), dOut, dLast == null ? carried : dLast);
      carried = back.state();
      dx = back.x();
    }
    Tensor dFirst = dx.select(1, 0).contiguous();
    return new Tensor[] {dFirst, Ops.present(carried)};
  }

  /// Steps by sequences, `(S, B, D)`, to sequences by steps, `(B, S, D)`.
  private void toRows(MemorySegment steps, Stretch stretch, Tensor rows) {
    MemorySegment to = TensorSegments.segment(rows);
    long bytes = (long) layer.dim() * Float.BYTES;
    for (int row = 0; row < batch; row++) {
      for (int step = 0; step < stretch.length(); step++) {
        long source = ((long) (stretch.from + step) * batch + row) * bytes;
        long target = ((long) row * stretch.length() + step) * bytes;
        MemorySegment.copy(steps, source, to, target, bytes);
      }
    }
  }
}
