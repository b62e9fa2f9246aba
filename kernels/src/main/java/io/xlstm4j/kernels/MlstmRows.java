package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A float32 tensor `(B, S, NH, W)` whose positions may lie apart, such as one part of a fused
/// projection: element (b, t, h, x) is float `(b * S + t) * stride + h * W + x` of `data`.
///
/// @param data starts at the first element
/// @param stride floats from one position to the next, at least NH * W
public record MlstmRows(MemorySegment data, int stride) {
  /// @throws IllegalArgumentException if positions overlap or `data` is too short
  void check(String name, MlstmShape shape, int width) {
    long wide = (long) shape.heads() * width;
    if (stride < wide) {
      throw new IllegalArgumentException(
          name + ": stride (" + stride + ") must be at least NH * width (" + wide + ")");
    }
    long positions = (long) shape.batch() * shape.length();
    MlstmMath.expectFloats(name, data, (positions - 1) * stride + wide);
  }

  /// The byte at which position 0 of a row's head begins.
  long start(MlstmShape shape, int row, int head, int width) {
    return ((long) row * shape.length() * stride + (long) head * width) * Float.BYTES;
  }

  float get(MlstmShape shape, int row, int head, int width, int position, int column) {
    return data.get(
        ValueLayout.JAVA_FLOAT,
        start(shape, row, head, width) + ((long) position * stride + column) * Float.BYTES);
  }

  void set(MlstmShape shape, int row, int head, int width, int position, int column, double value) {
    data.set(
        ValueLayout.JAVA_FLOAT,
        start(shape, row, head, width) + ((long) position * stride + column) * Float.BYTES,
        (float) value);
  }
}
