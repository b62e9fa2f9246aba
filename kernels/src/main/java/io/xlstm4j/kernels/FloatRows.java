package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;

/// Rows of float32 that may lie apart: element (row, column) is float `at + row * stride + column`.
///
/// Beside [Rows], which training has, because inference keeps several matrices in one memory and so
/// needs a start that is no slice: slices are objects, and a step makes none.
///
/// @param stride floats from one row to the next
public record FloatRows(MemorySegment data, long at, int stride) {
  /// Where a row starts.
  public long row(int row) {
    return at + (long) row * stride;
  }

  /// The same rows from a later column on.
  public FloatRows from(int column) {
    return new FloatRows(data, at + column, stride);
  }

  /// @throws IllegalArgumentException if the memory has not `rows` rows of `columns`
  /// @throws IllegalStateException if it has been closed
  void check(String name, int rows, int columns) {
    long end = row(rows - 1) + columns;
    if (at < 0 || stride < 0 || end * Float.BYTES > data.byteSize()) {
      throw new IllegalArgumentException(
          "%s: %d rows of %d, one every %d floats from float %d on, do not fit %d bytes"
              .formatted(name, rows, columns, stride, at, data.byteSize()));
    }
    if (!data.scope().isAlive()) {
      throw new IllegalStateException("the memory of " + name + " has been closed");
    }
  }
}
