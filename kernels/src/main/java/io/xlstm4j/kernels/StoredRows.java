package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/// Some rows of a [WeightMatrix] as they are stored, copied to arrays at once.
///
/// Where the file is not read at its address (`NativeGemv`), vectors are read from the arrays and
/// not from it: once a process has used several kinds of segments, the compiler checks owner, life
/// and size of a segment at each access, some dozen instructions, and the processor has no room
/// left to wait for several lines of memory at a time. A copy is checked once. Kept from call to
/// call, by one thread.
public final class StoredRows {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  public short[] shorts = new short[0];
  public byte[] bytes = new byte[0];

  /// Of each row [WeightMatrix#groups()].
  public float[] scales = new float[0];

  /// Of 16 or 8 bits; those of 32 need no other form.
  public void read(WeightMatrix w, int first, int count) {
    int elements = count * w.columns();
    long start = (long) first * w.columns();
    switch (w.type()) {
      case BF16, F16 -> {
        if (shorts.length < elements) {
          shorts = new short[elements];
        }
        MemorySegment.copy(w.data(), SHORT, start * Short.BYTES, shorts, 0, elements);
      }
      case INT8 -> {
        if (bytes.length < elements) {
          bytes = new byte[elements];
        }
        MemorySegment.copy(w.data(), ValueLayout.JAVA_BYTE, start, bytes, 0, elements);
        readScales(w, first, count);
      }
      case F32 -> throw new IllegalArgumentException("float32 is read as it is");
    }
  }

  private void readScales(WeightMatrix w, int first, int count) {
    @Nullable MemorySegment from = w.scales();
    if (from == null) {
      throw new IllegalArgumentException("an INT8 matrix has scales");
    }
    int number = count * w.groups();
    if (scales.length < number) {
      scales = new float[number];
    }
    MemorySegment.copy(from, FLOAT, (long) first * w.groups() * Float.BYTES, scales, 0, number);
  }

  /// Rows of float32, one every `stride` floats.
  public static void copy(WeightMatrix w, int first, int count, float[] to, int stride) {
    int columns = w.columns();
    long start = (long) first * columns * Float.BYTES;
    if (stride == columns) {
      MemorySegment.copy(w.data(), FLOAT, start, to, 0, count * columns);
      return;
    }
    for (int row = 0; row < count; row++) {
      long offset = start + (long) row * columns * Float.BYTES;
      MemorySegment.copy(w.data(), FLOAT, offset, to, row * stride, columns);
    }
  }
}
