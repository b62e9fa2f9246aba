package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101,
/// algorithm 2) over float32 memory, and the gradient's norm.
public interface AdamWKernel {
  /// Numbers of one step.
  ///
  /// @param gradientScale what the gradients are multiplied by first, for clipping
  /// @param decay what a parameter is multiplied by first: 1 - rate x weight decay
  /// @param rate learning rate over the first moment's bias correction
  /// @param squareCorrection square root of the second moment's bias correction
  record Step(
      float gradientScale,
      float decay,
      float rate,
      float beta1,
      float beta2,
      float squareCorrection,
      float epsilon) {}

  /// Moves a parameter and its moments; all of one size.
  ///
  /// @throws IllegalArgumentException if the sizes differ
  void update(
      Step step,
      MemorySegment parameter,
      MemorySegment gradient,
      MemorySegment mean,
      MemorySegment square);

  /// Sum of squares, in float64.
  double sumOfSquares(MemorySegment gradient);

  /// Elements of each.
  static long count(
      MemorySegment parameter, MemorySegment gradient, MemorySegment mean, MemorySegment square) {
    long count = parameter.byteSize() / Float.BYTES;
    SegmentFloats.check("gradient", gradient, count, "as long as the parameter");
    SegmentFloats.check("mean", mean, count, "as long as the parameter");
    SegmentFloats.check("square", square, count, "as long as the parameter");
    return count;
  }
}
