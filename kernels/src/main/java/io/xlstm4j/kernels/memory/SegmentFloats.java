package io.xlstm4j.kernels.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/// Floats in memory by their number, and checks that a memory has the right size.
public final class SegmentFloats {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

  private SegmentFloats() {}

  public static float get(MemorySegment from, long index) {
    return from.get(FLOAT, index * Float.BYTES);
  }

  public static void set(MemorySegment to, long index, float value) {
    to.set(FLOAT, index * Float.BYTES, value);
  }

  public static void add(MemorySegment to, long index, float value) {
    set(to, index, get(to, index) + value);
  }

  public static void copy(MemorySegment from, long index, float[] to, int start, int count) {
    MemorySegment.copy(from, FLOAT, index * Float.BYTES, to, start, count);
  }

  public static void copy(float[] from, int start, MemorySegment to, long index, int count) {
    MemorySegment.copy(from, start, to, FLOAT, index * Float.BYTES, count);
  }

  public static void zero(MemorySegment to, long index, int count) {
    to.asSlice(index * Float.BYTES, (long) count * Float.BYTES).fill((byte) 0);
  }

  public static boolean isSet(@Nullable MemorySegment mask, long index, boolean absent) {
    return mask == null ? absent : mask.get(ValueLayout.JAVA_BYTE, index) != 0;
  }

  /// @throws IllegalArgumentException if `memory` does not hold exactly `floats` floats
  public static void check(String name, @Nullable MemorySegment memory, long floats, String shape) {
    checkBytes(name, memory, floats * Float.BYTES, shape);
  }

  /// @throws IllegalArgumentException if `mask` does not hold exactly `count` bytes
  public static void checkMask(
      String name, @Nullable MemorySegment mask, long count, String shape) {
    checkBytes(name, mask, count, shape);
  }

  public static void checkBytes(
      String name, @Nullable MemorySegment memory, long bytes, String shape) {
    if (memory != null && memory.byteSize() != bytes) {
      throw new IllegalArgumentException(
          "%s must be %s, %d bytes; it has %d".formatted(name, shape, bytes, memory.byteSize()));
    }
  }

  /// @throws IllegalArgumentException if `data` holds fewer than `floats` floats
  public static void expectFloats(String name, MemorySegment data, long floats) {
    if (data.byteSize() < floats * Float.BYTES) {
      throw new IllegalArgumentException(
          name + ": expected " + floats + " floats, got " + data.byteSize() + " bytes");
    }
  }

  /// @throws IllegalArgumentException if `data` holds fewer than `bytes` bytes
  public static void expectBytes(String name, @Nullable MemorySegment data, long bytes) {
    if (data != null && data.byteSize() < bytes) {
      throw new IllegalArgumentException(
          name + ": expected " + bytes + " bytes, got " + data.byteSize());
    }
  }
}
