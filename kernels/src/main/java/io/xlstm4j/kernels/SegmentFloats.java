package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// Floats in memory by their number, one at a time or a vector of them.
final class SegmentFloats {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;

  private SegmentFloats() {}

  static float get(MemorySegment from, long index) {
    return from.get(FLOAT, index * Float.BYTES);
  }

  static void set(MemorySegment to, long index, float value) {
    to.set(FLOAT, index * Float.BYTES, value);
  }

  static void add(MemorySegment to, long index, float value) {
    set(to, index, get(to, index) + value);
  }

  /// The next vector of floats. What tells whole vectors from the last, shorter one is too large
  /// for the compiler to take into a loop that matters, and its result is then an object on the
  /// heap. So is the result of this, where it happens to be compiled before the loop: what must
  /// leave no garbage copies with [#read] or calls what is called here.
  static FloatVector load(MemorySegment from, long index) {
    return FloatVector.fromMemorySegment(LANES, from, index * Float.BYTES, ORDER);
  }

  static void store(FloatVector value, MemorySegment to, long index) {
    value.intoMemorySegment(to, index * Float.BYTES, ORDER);
  }

  /// The next `count` floats, zeros in the other lanes.
  static FloatVector load(MemorySegment from, long index, int count) {
    return count >= LANES.length()
        ? load(from, index)
        : FloatVector.fromMemorySegment(
            LANES, from, index * Float.BYTES, ORDER, LANES.indexInRange(0, count));
  }

  /// Stores the first `count` lanes.
  static void store(FloatVector value, MemorySegment to, long index, int count) {
    if (count >= LANES.length()) {
      store(value, to, index);
    } else {
      value.intoMemorySegment(to, index * Float.BYTES, ORDER, LANES.indexInRange(0, count));
    }
  }

  static void copy(MemorySegment from, long index, float[] to, int start, int count) {
    MemorySegment.copy(from, FLOAT, index * Float.BYTES, to, start, count);
  }

  static void copy(float[] from, int start, MemorySegment to, long index, int count) {
    MemorySegment.copy(from, start, to, FLOAT, index * Float.BYTES, count);
  }

  /// Copies `count` floats by vectors; quicker than the bulk copy for the length of a head.
  static void read(MemorySegment from, long index, float[] to, int start, int count) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += LANES.length()) {
      FloatVector.fromMemorySegment(LANES, from, (index + i) * Float.BYTES, ORDER)
          .intoArray(to, start + i);
    }
    if (i < count) {
      copy(from, index + i, to, start + i, count - i);
    }
  }

  /// Copies `count` floats by vectors.
  static void write(float[] from, int start, MemorySegment to, long index, int count) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += LANES.length()) {
      FloatVector.fromArray(LANES, from, start + i)
          .intoMemorySegment(to, (index + i) * Float.BYTES, ORDER);
    }
    if (i < count) {
      copy(from, start + i, to, index + i, count - i);
    }
  }

  static void zero(MemorySegment to, long index, int count) {
    to.asSlice(index * Float.BYTES, (long) count * Float.BYTES).fill((byte) 0);
  }

  static boolean isSet(@Nullable MemorySegment mask, long index, boolean absent) {
    return mask == null ? absent : mask.get(ValueLayout.JAVA_BYTE, index) != 0;
  }

  /// @throws IllegalArgumentException if `memory` does not hold exactly `floats` floats
  static void check(String name, @Nullable MemorySegment memory, long floats, String shape) {
    checkBytes(name, memory, floats * Float.BYTES, shape);
  }

  /// @throws IllegalArgumentException if `mask` does not hold exactly `count` bytes
  static void checkMask(String name, @Nullable MemorySegment mask, long count, String shape) {
    checkBytes(name, mask, count, shape);
  }

  static void checkBytes(String name, @Nullable MemorySegment memory, long bytes, String shape) {
    if (memory != null && memory.byteSize() != bytes) {
      throw new IllegalArgumentException(
          "%s must be %s, %d bytes; it has %d".formatted(name, shape, bytes, memory.byteSize()));
    }
  }
}
