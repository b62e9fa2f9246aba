package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// One token of one row, forward only, on one thread: convolution and cells, with the row's state
/// changed in place. All memory is float32; a `long` after a memory is the number of the float
/// where something starts.
public interface TokenKernels {
  /// A depthwise causal convolution (docs/math.md 1.3).
  ///
  /// @param weight `(K, C)`, the last tap for the current token
  /// @param bias `(C)`
  record Convolution(int channels, int kernelSize, MemorySegment weight, MemorySegment bias) {}

  /// `y = silu(b + Σ_lag w[K-1-lag] x_{t-lag})`; `x` joins the tail, the oldest input leaves it.
  ///
  /// @param x where the C inputs are
  /// @param tail where the row's `(K-1, C)` last inputs are
  /// @param y where the C outputs go; not where the inputs are
  void convolve(
      Convolution convolution,
      MemorySegment x,
      long xOffset,
      MemorySegment tail,
      long tailOffset,
      MemorySegment y,
      long yOffset);

  /// An mLSTM cell (docs/math.md 2.1).
  ///
  /// @param heads NH
  /// @param qkDim DHQK
  /// @param vDim DHV
  /// @param epsilon added to the denominator after the maximum
  record Mlstm(int heads, int qkDim, int vDim, float epsilon) {
    /// Floats of a state, `c (NH, DHQK, DHV)`, `n (NH, DHQK)`, `m (NH)`, one after the other.
    public int stateFloats() {
      return heads * (qkDim * vDim + qkDim + 1);
    }
  }

  /// The inputs of the cell for one token, and the memory of its output.
  ///
  /// @param q `(NH, DHQK)`, not yet scaled
  /// @param k `(NH, DHQK)`
  /// @param v `(NH, DHV)`
  /// @param igate input gates before their activation `(NH)`
  /// @param fgate forget gates before their activation `(NH)`
  /// @param h `(NH, DHV)`, written
  record MlstmOperands(
      MemoryMatrix q,
      MemoryMatrix k,
      MemoryMatrix v,
      MemoryMatrix igate,
      MemoryMatrix fgate,
      MemoryMatrix h) {}

  /// One head of one row.
  ///
  /// @param row of `rows`
  /// @param state where c, n and m of all heads are, one after the other
  void mlstm(
      Mlstm cell, MlstmOperands rows, int row, int head, MemorySegment state, long stateOffset);

  /// An sLSTM cell (docs/math.md 1.1).
  ///
  /// @param units NH DH
  /// @param plain whether it is a plain LSTM instead: sigmoid gates, no normalizer
  /// @param clip bound of y, or null
  record Slstm(int units, boolean plain, @Nullable Float clip) {}

  /// All units of one row.
  ///
  /// @param gates raw gates `(4, units)` in the order i, f, z, o, the recurrent part in them; their
  ///   memory is free afterwards, and holds something else
  /// @param state y, c, n and m, `(units)` each, one after the other; y is the output
  void slstm(
      Slstm cell, MemorySegment gates, long gatesOffset, MemorySegment state, long stateOffset);
}
