package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Rows of float32 that may lie apart: element (row, column) is float `row * stride + column` of
/// `data`. A part of the columns of a wider matrix is one of these.
///
/// Of training; inference has [MemoryMatrix], whose start is a number and not a slice.
///
/// @param data starts at the first element
/// @param stride floats from one row to the next, at least the width
public record StridedMatrix(MemorySegment data, int stride) {
  /// Columns from `column` on.
  public StridedMatrix from(int column) {
    return new StridedMatrix(data.asSlice((long) column * Float.BYTES), stride);
  }

  /// @throws IllegalArgumentException if the memory cannot hold `rows` rows of `width`
  public void check(String name, int rows, int width) {
    if (stride < width) {
      throw new IllegalArgumentException(
          "%s: stride (%d) must be at least the width (%d)".formatted(name, stride, width));
    }
    SegmentFloats.expectFloats(name, data, (rows - 1L) * stride + width);
  }

  public float get(int row, int column) {
    return data.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) row * stride + column);
  }

  public void set(int row, int column, float value) {
    data.setAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, (long) row * stride + column, value);
  }
}
