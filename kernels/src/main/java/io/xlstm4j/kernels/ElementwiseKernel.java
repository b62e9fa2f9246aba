package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Sums and products of equally long float32 memory, element by element.
public interface ElementwiseKernel {
  /// `out = a + b`.
  ///
  /// @param out may be the memory of `a` or `b`
  /// @throws IllegalArgumentException if the sizes differ
  void add(MemorySegment a, MemorySegment b, MemorySegment out, KernelThreads threads);

  /// `out = a b + plus`.
  ///
  /// @param addend null for zero
  /// @param out may be the memory of the others
  /// @throws IllegalArgumentException if the sizes differ
  void multiplyAdd(
      MemorySegment a,
      MemorySegment b,
      @Nullable MemorySegment addend,
      MemorySegment out,
      KernelThreads threads);

  /// Returns the sum of `count` floats from float `from` on, in an order of its own, on the calling
  /// thread. It reads memory as fast as one thread can.
  float sum(MemorySegment data, long from, int count);

  /// Elements of a task.
  int PIECE = 1 << 14;

  /// Returns the floats that all of them hold.
  static long count(
      MemorySegment a, MemorySegment b, @Nullable MemorySegment addend, MemorySegment out) {
    long count = out.byteSize() / Float.BYTES;
    SegmentFloats.check("a", a, count, "as long as out");
    SegmentFloats.check("b", b, count, "as long as out");
    SegmentFloats.check("addend", addend, count, "as long as out");
    return count;
  }
}
