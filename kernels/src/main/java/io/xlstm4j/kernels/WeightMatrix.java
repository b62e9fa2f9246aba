package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// A matrix W as a file stores it, row-major and little-endian, read where it lies.
///
/// The numbers it stands for are float32, exactly: 16-bit elements widened, or 8-bit elements times
/// their scale, rounded once. Every product is one with those numbers.
///
/// @param type of the elements
/// @param rows outputs of a projection, ids of an embedding
/// @param columns inputs, or the width of the embedding
/// @param data `(rows, columns)`, at any alignment
/// @param scales float32 `(rows, ceil(columns / group))`; null unless `type` is [WeightType#INT8]
/// @param group columns that share a scale; `columns` for one scale per row; 0 unless INT8
public record WeightMatrix(
    WeightType type,
    int rows,
    int columns,
    MemorySegment data,
    @Nullable MemorySegment scales,
    int group) {
  /// @throws IllegalArgumentException if sizes and memory do not agree
  public WeightMatrix {
    if (rows < 1 || columns < 1) {
      throw new IllegalArgumentException(
          "rows (%d) and columns (%d) must be positive".formatted(rows, columns));
    }
    SegmentFloats.expectBytes("weights", data, (long) rows * columns * type.bytes());
    if (type == WeightType.INT8) {
      if (group < 1 || scales == null) {
        throw new IllegalArgumentException(
            "an INT8 matrix needs scales and a positive group (" + group + ")");
      }
      SegmentFloats.expectFloats("scales", scales, (long) rows * Math.ceilDiv(columns, group));
    } else if (scales != null || group != 0) {
      throw new IllegalArgumentException("only an INT8 matrix has scales, not " + type);
    }
  }

  /// A matrix without scales.
  public static WeightMatrix of(WeightType type, int rows, int columns, MemorySegment data) {
    return new WeightMatrix(type, rows, columns, data, null, 0);
  }

  /// The rows from `first` on, sharing the memory.
  public WeightMatrix rows(int first, int count) {
    long rowBytes = (long) columns * type.bytes();
    MemorySegment part = data.asSlice(first * rowBytes, count * rowBytes);
    if (scales == null) {
      return of(type, count, columns, part);
    }
    long scaleBytes = (long) groups() * Float.BYTES;
    return new WeightMatrix(
        type, count, columns, part, scales.asSlice(first * scaleBytes, count * scaleBytes), group);
  }

  /// Scales in a row.
  public int groups() {
    return group == 0 ? 0 : Math.ceilDiv(columns, group);
  }
}
