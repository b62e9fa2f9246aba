package io.xlstm4j.kernels.vector.math;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// Vectors of floats in memory, by the number of their first float. [SegmentFloats] has them one at
/// a time.
public final class SegmentVectors {
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;

  private SegmentVectors() {}

  /// The next vector of floats. What tells whole vectors from the last, shorter one is too large
  /// for the compiler to take into a loop that matters, and its result is then an object on the
  /// heap. So is the result of this, where it happens to be compiled before the loop: what must
  /// leave no garbage copies with [#read] or calls what is called here.
  public static FloatVector load(MemorySegment from, long index) {
    return FloatVector.fromMemorySegment(LANES, from, index * Float.BYTES, ORDER);
  }

  public static void store(FloatVector value, MemorySegment to, long index) {
    value.intoMemorySegment(to, index * Float.BYTES, ORDER);
  }

  /// The next `count` floats, zeros in the other lanes.
  public static FloatVector load(MemorySegment from, long index, int count) {
    return count >= LANES.length()
        ? load(from, index)
        : FloatVector.fromMemorySegment(
            LANES, from, index * Float.BYTES, ORDER, LANES.indexInRange(0, count));
  }

  /// Stores the first `count` lanes.
  public static void store(FloatVector value, MemorySegment to, long index, int count) {
    if (count >= LANES.length()) {
      store(value, to, index);
    } else {
      value.intoMemorySegment(to, index * Float.BYTES, ORDER, LANES.indexInRange(0, count));
    }
  }

  /// Copies `count` floats by vectors; quicker than the bulk copy for the length of a head.
  public static void read(MemorySegment from, long index, float[] to, int start, int count) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += LANES.length()) {
      FloatVector.fromMemorySegment(LANES, from, (index + i) * Float.BYTES, ORDER)
          .intoArray(to, start + i);
    }
    if (i < count) {
      SegmentFloats.copy(from, index + i, to, start + i, count - i);
    }
  }

  /// Copies `count` floats by vectors.
  public static void write(float[] from, int start, MemorySegment to, long index, int count) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += LANES.length()) {
      FloatVector.fromArray(LANES, from, start + i)
          .intoMemorySegment(to, (index + i) * Float.BYTES, ORDER);
    }
    if (i < count) {
      SegmentFloats.copy(from, start + i, to, index + i, count - i);
    }
  }
}
