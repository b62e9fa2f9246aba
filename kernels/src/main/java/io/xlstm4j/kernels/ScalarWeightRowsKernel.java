package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// [WeightRowsKernel] as plain loops.
public final class ScalarWeightRowsKernel implements WeightRowsKernel {
  static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  @Override
  public void widen(WeightMatrix w, int row, float[] to, int at) {
    int columns = w.columns();
    long start = (long) row * columns * w.type().bytes();
    switch (w.type()) {
      case F32 -> MemorySegment.copy(w.data(), FLOAT, start, to, at, columns);
      case BF16 -> {
        short[] bits = shorts(w.data(), start, columns);
        for (int column = 0; column < columns; column++) {
          to[at + column] = Float.intBitsToFloat(bits[column] << 16);
        }
      }
      case F16 -> {
        short[] bits = shorts(w.data(), start, columns);
        for (int column = 0; column < columns; column++) {
          to[at + column] = Float.float16ToFloat(bits[column]);
        }
      }
      case INT8 -> {
        var bytes = new byte[columns];
        MemorySegment.copy(w.data(), ValueLayout.JAVA_BYTE, start, bytes, 0, columns);
        for (int group = 0; group < w.groups(); group++) {
          float scale = scale(w, row, group);
          int end = Math.min(columns, (group + 1) * w.group());
          for (int column = group * w.group(); column < end; column++) {
            to[at + column] = bytes[column] * scale;
          }
        }
      }
    }
  }

  private static short[] shorts(MemorySegment data, long start, int count) {
    var bits = new short[count];
    MemorySegment.copy(data, SHORT, start, bits, 0, count);
    return bits;
  }

  /// What one element stands for.
  static float element(WeightMatrix w, int row, int column) {
    long index = (long) row * w.columns() + column;
    MemorySegment data = w.data();
    return switch (w.type()) {
      case F32 -> data.get(FLOAT, index * Float.BYTES);
      case BF16 -> Float.intBitsToFloat(data.get(SHORT, index * Short.BYTES) << 16);
      case F16 -> Float.float16ToFloat(data.get(SHORT, index * Short.BYTES));
      case INT8 -> data.get(ValueLayout.JAVA_BYTE, index) * scale(w, row, column / w.group());
    };
  }

  static float scale(WeightMatrix w, int row, int group) {
    MemorySegment scales = w.scales();
    if (scales == null) {
      throw new IllegalStateException("an INT8 matrix has scales");
    }
    return scales.get(FLOAT, ((long) row * w.groups() + group) * Float.BYTES);
  }
}
