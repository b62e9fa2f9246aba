package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;

/// The product with a block-diagonal matrix, one block per head: `y[p, h, o] = sum_i x[p, h, i]
/// w[h, o, i]`.
public interface HeadwiseKernel {
  /// @param x `(positions, NH, I)`
  /// @param w `(NH, O, I)`, contiguous
  /// @param y `(positions, NH, O)`, written
  void forward(HeadwiseShape shape, StridedMatrix x, MemorySegment w, StridedMatrix y);

  /// Gradients of x and w.
  ///
  /// @param dx `(positions, NH, I)`, written, or added to if `add`
  /// @param dw `(NH, O, I)`, contiguous, written
  void backward(
      HeadwiseShape shape,
      StridedMatrix x,
      MemorySegment w,
      StridedMatrix dy,
      StridedMatrix dx,
      boolean add,
      MemorySegment dw);
}
