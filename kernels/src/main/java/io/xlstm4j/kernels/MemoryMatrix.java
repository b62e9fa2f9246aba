package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;

/// Rows of float32 that may lie apart: element (row, column) is float `offset + row * stride +
/// column`.
///
/// Beside [StridedMatrix], which training has, because inference keeps several matrices in one
/// memory and so needs a start that is no slice: slices are objects, and a step makes none.
///
/// @param stride floats from one row to the next
public record MemoryMatrix(MemorySegment data, long offset, int stride) {
  /// Where a row starts.
  public long row(int row) {
    return offset + (long) row * stride;
  }

  /// The same rows from a later column on.
  public MemoryMatrix from(int column) {
    return new MemoryMatrix(data, offset + column, stride);
  }

  /// @throws IllegalArgumentException if the memory has not `rows` rows of `columns`
  /// @throws IllegalStateException if it has been closed
  void check(String name, int rows, int columns) {
    long end = row(rows - 1) + columns;
    if (offset < 0 || stride < 0 || end * Float.BYTES > data.byteSize()) {
      throw new IllegalArgumentException(
          "%s: %d rows of %d, one every %d floats from float %d on, do not fit %d bytes"
              .formatted(name, rows, columns, stride, offset, data.byteSize()));
    }
    if (!data.scope().isAlive()) {
      throw new IllegalStateException("the memory of " + name + " has been closed");
    }
  }
}
