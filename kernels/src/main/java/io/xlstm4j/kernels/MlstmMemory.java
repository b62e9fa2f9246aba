package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorSpecies;

/// Copies rows of floats between memory, where they may lie apart, and arrays, where each begins a
/// whole number of vectors after the last and is padded with zeros.
final class MlstmMemory {
  private static final VectorSpecies<Float> LANES = MlstmMath.LANES;
  private static final int WIDTH = LANES.length();
  static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private MlstmMemory() {}

  /// Rows of memory to rows of whole vectors, times a factor.
  static void load(
      MemorySegment from,
      long at,
      long stride,
      int rows,
      int width,
      float factor,
      float[] to,
      int wide) {
    int bound = LANES.loopBound(width);
    VectorMask<Float> tail = LANES.indexInRange(bound, width);
    for (int r = 0; r < rows; r++) {
      long byteAt = (at + r * stride) * Float.BYTES;
      int start = r * wide;
      int x = 0;
      for (; x < bound; x += WIDTH) {
        FloatVector.fromMemorySegment(LANES, from, byteAt + (long) x * Float.BYTES, ORDER)
            .mul(factor)
            .intoArray(to, start + x);
      }
      if (x < width) {
        FloatVector.fromMemorySegment(LANES, from, byteAt + (long) x * Float.BYTES, ORDER, tail)
            .mul(factor)
            .intoArray(to, start + x);
      }
    }
  }

  /// Rows of whole vectors, times a factor, to rows of memory.
  static void store(
      float[] from,
      int wide,
      float factor,
      int rows,
      int width,
      MemorySegment to,
      long at,
      long stride) {
    int bound = LANES.loopBound(width);
    VectorMask<Float> tail = LANES.indexInRange(bound, width);
    for (int r = 0; r < rows; r++) {
      long byteAt = (at + r * stride) * Float.BYTES;
      int start = r * wide;
      int x = 0;
      for (; x < bound; x += WIDTH) {
        FloatVector.fromArray(LANES, from, start + x)
            .mul(factor)
            .intoMemorySegment(to, byteAt + (long) x * Float.BYTES, ORDER);
      }
      if (x < width) {
        FloatVector.fromArray(LANES, from, start + x)
            .mul(factor)
            .intoMemorySegment(to, byteAt + (long) x * Float.BYTES, ORDER, tail);
      }
    }
  }
}
