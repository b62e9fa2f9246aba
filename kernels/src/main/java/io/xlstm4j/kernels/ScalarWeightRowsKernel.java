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
    for (int column = 0; column < w.columns(); column++) {
      to[at + column] = element(w, row, column);
    }
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
