package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// A float32 tensor `(positions, NH, W)` whose positions may lie apart: element (p, h, x) is float
/// `p * stride + h * W + x` of `data`.
///
/// @param data starts at the first element
/// @param stride floats from one position to the next, at least NH * W
public record HeadwiseRows(MemorySegment data, int stride) {
  void check(String name, HeadwiseShape shape, int width) {
    long wide = (long) shape.heads() * width;
    if (stride < wide) {
      throw new IllegalArgumentException(
          name + ": stride (" + stride + ") must be at least NH * width (" + wide + ")");
    }
    MlstmMath.expectFloats(name, data, (shape.positions() - 1L) * stride + wide);
  }

  float get(int position, int column) {
    return data.getAtIndex(ValueLayout.JAVA_FLOAT, (long) position * stride + column);
  }

  void set(int position, int column, double value) {
    data.setAtIndex(ValueLayout.JAVA_FLOAT, (long) position * stride + column, (float) value);
  }
}
