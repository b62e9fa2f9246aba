package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// The soft cap of the Large family, `y = cap tanh(x / cap)`, element by element (docs/math.md
/// 3.9).
///
/// All memory is float32, contiguous.
public interface SoftCapKernel {
  /// Elements of a task.
  int PIECE = 1 << 13;

  /// @param y as long as `x`; may be its memory
  /// @throws IllegalArgumentException if the sizes differ
  void forward(float cap, MemorySegment x, MemorySegment y, KernelThreads threads);

  /// `dx = dy (1 - (y / cap)²)`.
  ///
  /// @param y what [#forward] wrote
  /// @param dx as long as the others; may be the memory of either
  /// @throws IllegalArgumentException if the sizes differ
  void backward(
      float cap, MemorySegment y, MemorySegment dy, MemorySegment dx, KernelThreads threads);

  /// Returns the floats that both hold.
  static long count(MemorySegment a, MemorySegment b) {
    long count = a.byteSize() / Float.BYTES;
    SegmentFloats.check("the other memory", b, count, "as long as the first");
    return count;
  }

  /// Tasks for so many elements.
  static int pieces(long count) {
    return Math.toIntExact(Math.ceilDiv(count, PIECE));
  }
}
