package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell over a whole sequence, forward and backward (Beck et al. 2024, arXiv:2405.04517,
/// eq. 8-17).
///
/// All memory is float32, contiguous, in the order of the shapes given; gates stand in the order i,
/// f, z, o. The first token after an all-zero state takes its input gate as the stabilizer, decided
/// element by element by n = 0; a state with n = 0 must have c = 0 there, as every state of this
/// cell has. Results never depend on the number of threads, nor a row's on its neighbours.
public interface SlstmKernel {
  /// @param batch B
  /// @param length S
  /// @param heads NH
  /// @param headDim DH
  record Size(int batch, int length, int heads, int headDim) {
    public Size {
      if (batch < 1 || length < 1 || heads < 1 || headDim < 1) {
        throw new IllegalArgumentException(
            "batch (%d), length (%d), heads (%d) and headDim (%d) must be positive"
                .formatted(batch, length, heads, headDim));
      }
    }

    /// Floats of a state part `(B, NH, DH)`.
    public long stateFloats() {
      return (long) batch * heads * headDim;
    }

    /// Where the units of one head start in `(B, NH, DH)`.
    public long state(int row, int head) {
      return ((long) row * heads + head) * headDim;
    }

    /// Where the units of one head start in `(B, S, NH, DH)`.
    public long output(int row, int step, int head) {
      return (((long) row * length + step) * heads + head) * headDim;
    }

    /// Where the units of one gate and head start in `(B, S, 4, NH, DH)`.
    public long gate(int row, int step, int gate, int head) {
      return ((((long) row * length + step) * 4 + gate) * heads + head) * headDim;
    }

    /// Where the units of one input and gate start in `(NH, DHin, 4, DHout)`.
    public long kernel(int head, int in, int gate) {
      return (((long) head * headDim + in) * 4 + gate) * headDim;
    }

    /// Where the units of one gate start in `(NH, 4, DH)`.
    public long bias(int head, int gate) {
      return ((long) head * 4 + gate) * headDim;
    }
  }

  /// The inputs of the cell.
  ///
  /// @param wx the part of the gates that comes from the input `(B, S, 4, NH, DH)`
  /// @param r recurrent kernel `(NH, DHin, 4, DHout)`
  /// @param b bias `(NH, 4, DH)`
  /// @param initial the state before the first token; read, never written
  /// @param valid `(B, S)` bytes, 0 at padding: there the state stays and y is zero; null for none
  /// @param starts `(B, S)` bytes, 1 where a document starts, from a fresh state; null for none
  record Inputs(
      MemorySegment wx,
      MemorySegment r,
      MemorySegment b,
      State initial,
      @Nullable MemorySegment valid,
      @Nullable MemorySegment starts) {
    public void check(Size size) {
      long states = size.stateFloats();
      SegmentFloats.check("wx", wx, states * size.length * 4, "(B, S, 4, NH, DH)");
      SegmentFloats.check("r", r, size.kernel(size.heads, 0, 0), "(NH, DH, 4, DH)");
      SegmentFloats.check("b", b, size.bias(size.heads, 0), "(NH, 4, DH)");
      initial.check("initial", size);
      long positions = (long) size.batch * size.length;
      SegmentFloats.checkMask("valid", valid, positions, "(B, S)");
      SegmentFloats.checkMask("starts", starts, positions, "(B, S)");
    }

    /// Returns whether position `step` of a row holds a token.
    public boolean isToken(Size size, int row, int step) {
      return SegmentFloats.isSet(valid, (long) row * size.length + step, true);
    }

    /// Returns whether a document starts at position `step` of a row; padding starts none.
    public boolean isStart(Size size, int row, int step) {
      return SegmentFloats.isSet(starts, (long) row * size.length + step, false)
          && isToken(size, row, step);
    }

    /// For each position of a row the earlier one whose state it goes on from, or [#INITIAL], or
    /// [#FRESH].
    public int[] predecessors(Size size, int row) {
      var before = new int[size.length];
      int last = INITIAL;
      for (int t = 0; t < size.length; t++) {
        if (isStart(size, row, t)) {
          last = FRESH;
        }
        before[t] = last;
        if (isToken(size, row, t)) {
          last = t;
        }
      }
      return before;
    }
  }

  /// A predecessor: the state that the row came with.
  int INITIAL = -1;

  /// A predecessor: the zero state at a document's start.
  int FRESH = -2;

  /// The state of the cell; all parts `(B, NH, DH)`.
  ///
  /// @param y the last output, fed back through R
  /// @param c cell, with the factor exp(-m)
  /// @param n normalizer, with the same factor; zero marks a unit that has seen nothing
  /// @param m stabilizer, natural-log scale
  record State(MemorySegment y, MemorySegment c, MemorySegment n, MemorySegment m) {
    public void check(String name, Size size) {
      SegmentFloats.check(name + ".y", y, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check(name + ".c", c, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check(name + ".n", n, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check(name + ".m", m, size.stateFloats(), "(B, NH, DH)");
    }
  }

  /// Gradients that reach the final state `(B, NH, DH)`; null for zero.
  record StateGradients(
      @Nullable MemorySegment y,
      @Nullable MemorySegment c,
      @Nullable MemorySegment n,
      @Nullable MemorySegment m) {
    /// Nothing depends on the final state.
    public static final StateGradients NONE = new StateGradients(null, null, null, null);

    public void check(Size size) {
      SegmentFloats.check("gradient of final y", y, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check("gradient of final c", c, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check("gradient of final n", n, size.stateFloats(), "(B, NH, DH)");
      SegmentFloats.check("gradient of final m", m, size.stateFloats(), "(B, NH, DH)");
    }
  }

  /// The memory of the gradients; whatever was there is overwritten.
  ///
  /// @param wx `(B, S, 4, NH, DH)`
  /// @param r `(NH, DHin, 4, DHout)`
  /// @param b `(NH, 4, DH)`
  /// @param initial `(B, NH, DH)` each, exact for all four parts
  record Gradients(MemorySegment wx, MemorySegment r, MemorySegment b, State initial) {
    public void check(Size size) {
      SegmentFloats.check(
          "gradient of wx", wx, size.stateFloats() * size.length * 4, "(B, S, 4, NH, DH)");
      SegmentFloats.check("gradient of r", r, size.kernel(size.heads, 0, 0), "(NH, DH, 4, DH)");
      SegmentFloats.check("gradient of b", b, size.bias(size.heads, 0), "(NH, 4, DH)");
      initial.check("gradient of initial", size);
    }
  }

  /// Bytes of the memory that [#forward] fills for [#backward] of the same kernel, six or seven
  /// floats for each unit and token; what they are and in which order, each kernel says.
  long savedBytes(Size size);

  /// Runs a sequence.
  ///
  /// @param y outputs `(B, S, NH, DH)`
  /// @param last the state after the last token; may be the memory of `inputs.initial()`, which is
  ///   then lost to [#backward]
  /// @param saved [#savedBytes] bytes for [#backward]; null if none will come
  /// @throws IllegalArgumentException if a size does not fit
  void forward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      State last,
      @Nullable MemorySegment saved,
      KernelThreads threads);

  /// Takes gradients back through [#forward], the stabilizer m included: gradients into c, n and m
  /// of the final state are exact too.
  ///
  /// @param inputs as given to [#forward]; `wx` and `b` are not read
  /// @param y outputs that [#forward] wrote
  /// @param saved what [#forward] wrote
  /// @param dy gradient of y `(B, S, NH, DH)`; not read at padding
  /// @throws IllegalArgumentException if a size does not fit
  void backward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      MemorySegment saved,
      MemorySegment dy,
      StateGradients last,
      Gradients gradients,
      KernelThreads threads);
}
