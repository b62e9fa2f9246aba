package io.xlstm4j.kernels.vector.gemm;

import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// `y = x Wᵀ + b + plus` for few outputs, such as the gates of the heads: sums run along the
/// inputs, where a tile of outputs would leave most lanes empty.
///
/// An element is the sum of its lanes' sums, each in the order of the inputs.
final class SkinnyGemm {
  private static final int LANES = FloatVector.SPECIES_PREFERRED.length();
  private static final int OUTS = 4; // at a time
  private static final int ROWS = 2; // at a time

  /// More outputs are faster as tiles.
  static final int MOST_OUTS = LANES;

  private SkinnyGemm() {}

  /// W `(O, I)` with whole vectors of inputs and whole groups of outputs, zeros where there is
  /// none.
  static float[] pack(StridedMatrix weight, int in, int out) {
    int wide = wide(in);
    float[] packed = new float[Math.ceilDiv(out, OUTS) * OUTS * wide];
    for (int o = 0; o < out; o++) {
      SegmentVectors.read(weight.data(), (long) o * weight.stride(), packed, o * wide, in);
    }
    return packed;
  }

  private static int wide(int in) {
    return Math.ceilDiv(in, LANES) * LANES;
  }

  /// Rows `[first, last)`.
  static void run(
      int first,
      int last,
      int in,
      int out,
      StridedMatrix x,
      float[] w,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y) {
    float[] sums = new float[ROWS * OUTS];
    float[] a = new float[wide(in)]; // a row
    float[] b = new float[wide(in)]; // the next
    for (int row = first; row < last; row += ROWS) {
      int second = Math.min(row + 1, last - 1); // the last row alone is done twice
      SegmentVectors.read(x.data(), (long) row * x.stride(), a, 0, in);
      SegmentVectors.read(x.data(), (long) second * x.stride(), b, 0, in);
      for (int o = 0; o < out; o += OUTS) {
        multiply(a, b, w, o * wide(in), sums);
        for (int j = 0; j < Math.min(OUTS, out - o); j++) {
          write(row, o + j, sums[j], bias, addend, y);
          if (second > row) {
            write(second, o + j, sums[OUTS + j], bias, addend, y);
          }
        }
      }
    }
  }

  private static void multiply(float[] x, float[] next, float[] w, int offset, float[] sums) {
    int wide = x.length;
    var a0 = FloatVector.zero(FloatVector.SPECIES_PREFERRED);
    var a1 = a0;
    var a2 = a0;
    var a3 = a0;
    var b0 = a0;
    var b1 = a0;
    var b2 = a0;
    var b3 = a0;
    for (int i = 0; i < wide; i += LANES) {
      var a = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, x, i);
      var b = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, next, i);
      var w0 = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, w, offset + i);
      a0 = a.fma(w0, a0);
      b0 = b.fma(w0, b0);
      var w1 = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, w, offset + wide + i);
      a1 = a.fma(w1, a1);
      b1 = b.fma(w1, b1);
      var w2 = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, w, offset + 2 * wide + i);
      a2 = a.fma(w2, a2);
      b2 = b.fma(w2, b2);
      var w3 = FloatVector.fromArray(FloatVector.SPECIES_PREFERRED, w, offset + 3 * wide + i);
      a3 = a.fma(w3, a3);
      b3 = b.fma(w3, b3);
    }
    sums[0] = MlstmMath.sum(a0);
    sums[1] = MlstmMath.sum(a1);
    sums[2] = MlstmMath.sum(a2);
    sums[3] = MlstmMath.sum(a3);
    sums[4] = MlstmMath.sum(b0);
    sums[5] = MlstmMath.sum(b1);
    sums[6] = MlstmMath.sum(b2);
    sums[7] = MlstmMath.sum(b3);
  }

  private static void write(
      int row,
      int o,
      float sum,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y) {
    float all = bias == null ? sum : sum + SegmentFloats.get(bias, o);
    y.set(row, o, addend == null ? all : all + addend.get(row, o));
  }
}
