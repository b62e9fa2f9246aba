package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The operations on each row of activations on its own, forward only, on one thread. All take the
/// rows in `[first, end)`; what they write may be what they read.
public interface PositionKernels {
  /// A norm over the width of each head (docs/math.md 3.1).
  ///
  /// @param heads 1 for a norm over the whole row
  /// @param headDim width of a head
  /// @param centered whether the mean is taken off: LayerNorm; else RMSNorm
  /// @param epsilon added to the variance or the mean square
  /// @param scale `(heads * headDim)`, or null for one
  /// @param bias `(heads * headDim)`, or null
  record Norm(
      int heads,
      int headDim,
      boolean centered,
      float epsilon,
      @Nullable MemorySegment scale,
      @Nullable MemorySegment bias) {}

  /// `y = (x - mean) / sqrt(mean square of that + epsilon) scale + bias`.
  void normalize(int first, int end, Norm norm, MemoryMatrix x, MemoryMatrix y);

  /// `y = activation(gate) up`.
  void gate(
      int first,
      int end,
      int width,
      Activation activation,
      MemoryMatrix gate,
      MemoryMatrix up,
      MemoryMatrix y);

  /// `y += scale x`, with `scale` of the columns.
  void addScaled(
      int first, int end, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y);

  /// `x = cap tanh(x / cap)`.
  void softCap(int first, int end, int width, float cap, MemoryMatrix x);

  /// A projection by blocks on the diagonal, each of `block` columns.
  ///
  /// @param width of all blocks, C
  /// @param block columns of a block
  /// @param weight `(block, C)`: element (j, o) multiplies input j of the block that output o is in
  /// @param bias `(C)`, or null
  record Headwise(int width, int block, MemorySegment weight, @Nullable MemorySegment bias) {}

  /// `y[o] = Σ_j weight[j, o] x[block start of o + j] + bias[o]`; y must not be x.
  void headwise(int first, int end, Headwise projection, MemoryMatrix x, MemoryMatrix y);
}
