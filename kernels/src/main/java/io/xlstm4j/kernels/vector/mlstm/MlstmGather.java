package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// Copies rows of floats between memory, where they may lie apart, and arrays, where each begins a
/// whole number of vectors after the last and is padded with zeros.
final class MlstmGather {
  private static final VectorSpecies<Float> LANES = MlstmMath.LANES;
  private static final int WIDTH = LANES.length();

  private MlstmGather() {}

  /// Rows of memory to rows of whole vectors, times a factor.
  static void load(
      MemorySegment from,
      long offset,
      long stride,
      int rows,
      int width,
      float factor,
      float[] to,
      int wide) {
    for (int r = 0; r < rows; r++) {
      SegmentVectors.read(from, offset + r * stride, to, r * wide, width);
      if (width < wide) {
        Arrays.fill(to, r * wide + width, (r + 1) * wide, 0);
      }
    }
    scale(to, rows * wide, factor);
  }

  /// Rows of whole vectors, which are multiplied by a factor first, to rows of memory.
  static void store(
      float[] from,
      int wide,
      float factor,
      int rows,
      int width,
      MemorySegment to,
      long offset,
      long stride) {
    scale(from, rows * wide, factor);
    for (int r = 0; r < rows; r++) {
      SegmentVectors.write(from, r * wide, to, offset + r * stride, width);
    }
  }

  private static void scale(float[] data, int count, float factor) {
    if (factor == 1) {
      return;
    }
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector.fromArray(LANES, data, i).mul(factor).intoArray(data, i);
    }
  }
}
