package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightRowsKernel;
import io.xlstm4j.kernels.WeightType;

/// [WeightRowsKernel] as plain loops.
public final class ScalarWeightRowsKernel implements WeightRowsKernel {
  @Override
  public void widen(
      WeightMatrix w, int first, int count, StoredRows stored, float[] to, int stride) {
    if (w.type() == WeightType.F32) {
      StoredRows.copy(w, first, count, to, stride);
      return;
    }
    stored.read(w, first, count);
    for (int row = 0; row < count; row++) {
      widenRow(w, row, 0, stored, to, row * stride);
    }
  }

  /// The elements of one row from `column` on.
  ///
  /// @param row among the stored ones
  /// @param offset where the row begins
  public static void widenRow(
      WeightMatrix w, int row, int column, StoredRows stored, float[] to, int offset) {
    int columns = w.columns();
    int from = row * columns;
    switch (w.type()) {
      case BF16 -> {
        for (int i = column; i < columns; i++) {
          to[offset + i] = Float.intBitsToFloat(stored.shorts[from + i] << 16);
        }
      }
      case F16 -> {
        for (int i = column; i < columns; i++) {
          to[offset + i] = Float.float16ToFloat(stored.shorts[from + i]);
        }
      }
      case INT8 -> {
        int end = column;
        for (int i = column; i < columns; i = end) {
          int group = i / w.group();
          float scale = stored.scales[row * w.groups() + group];
          end = Math.min(columns, (group + 1) * w.group());
          for (int j = i; j < end; j++) {
            to[offset + j] = stored.bytes[from + j] * scale;
          }
        }
      }
      case F32 -> throw new IllegalArgumentException("float32 is not stored in another form");
    }
  }
}
