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
}
