package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.gemm.PackedGemm;
import org.jspecify.annotations.Nullable;

/// Rows of activations as [PackedGemm] takes its left-hand matrix, `(blocks, rows,
/// PackedGemm.STRIDE)`, a block for every [PackedGemm#DEEP] columns. Packed once, slice by slice on
/// any thread, for all tasks that multiply them.
final class PackedActivations {
  private static final int DEEP = PackedGemm.DEEP;
  private static final int STRIDE = PackedGemm.STRIDE;
  private static final int SLICE = 32; // rows

  private final MemoryMatrix x;
  private final int count;
  private final int columns;
  private final int blockFloats;
  private final float[] data;

  /// @param x `(count, columns)`
  /// @param room used if it is large enough; null for none
  PackedActivations(MemoryMatrix x, int count, int columns, float @Nullable [] room) {
    this.x = x;
    this.count = count;
    this.columns = columns;
    blockFloats = padded(count) * STRIDE;
    int floats = Math.multiplyExact(Math.ceilDiv(columns, DEEP), blockFloats);
    data = room != null && room.length >= floats ? room : new float[floats];
  }

  /// Rows with those behind the last that a product computes too, whatever they hold.
  static int padded(int rows) {
    return Math.ceilDiv(rows, PackedGemm.UNIT) * PackedGemm.UNIT;
  }

  boolean isOf(MemoryMatrix other, int itsColumns) {
    return x.equals(other) && columns == itsColumns;
  }

  int slices() {
    return Math.ceilDiv(count, SLICE);
  }

  void pack(int slice) {
    int first = slice * SLICE;
    for (int row = first; row < Math.min(count, first + SLICE); row++) {
      for (int column = 0; column < columns; column += DEEP) {
        int to = block(column) + row * STRIDE;
        SegmentFloats.copy(
            x.data(), x.row(row) + column, data, to, Math.min(DEEP, columns - column));
      }
    }
  }

  float[] data() {
    return data;
  }

  /// Where the block of a column begins.
  int block(int column) {
    return column / DEEP * blockFloats;
  }
}
