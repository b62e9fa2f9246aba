package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// [GemvKernel] on the Vector API. Each element has one vector of partial sums, by fused
/// multiply-adds in the order of the inputs; tiles of 4 outputs by 4 rows only keep several of them
/// in registers at a time.
public final class VectorGemvKernel implements GemvKernel {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  static final int TILE = 4; // outputs, and rows

  private static final VectorShuffle<Float> BY_HALF = rotation(WIDTH / 2);
  private static final VectorShuffle<Float> BY_QUARTER = rotation(WIDTH / 4);
  private static final VectorShuffle<Float> BACK_BY_QUARTER = rotation(3 * WIDTH / 4);
  private static final VectorShuffle<Float> BY_2 = rotation(2);
  private static final VectorShuffle<Float> BY_1 = rotation(1);
  private static final VectorMask<Float> LAST_HALF = lanes(1);
  private static final VectorMask<Float> ODD_QUARTERS = lanes(0);

  /// Lane i takes lane i + `by`, around.
  private static VectorShuffle<Float> rotation(int by) {
    return VectorShuffle.iota(LANES, by, 1, true);
  }

  /// The lanes whose quarter has bit `bit` in its number.
  private static VectorMask<Float> lanes(int bit) {
    boolean[] set = new boolean[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      set[i] = ((4 * i / WIDTH) & (1 << bit)) != 0;
    }
    return VectorMask.fromArray(LANES, set, 0);
  }

  @Override
  public int stride(int inputs) {
    return Math.ceilDiv(inputs, WIDTH) * WIDTH;
  }

  @Override
  public void multiply(
      int rows, int outputs, int stride, float[] w, float[] x, float[] y, float[] scratch) {
    int output = 0;
    for (; output + TILE <= outputs; output += TILE) {
      int row = 0;
      for (; row + TILE <= rows; row += TILE) {
        tile4x4(w, output * stride, x, row * stride, stride, scratch);
        store(scratch, TILE, y, row * outputs + output, outputs, 1);
      }
      for (; row < rows; row++) {
        tile1x4(w, output * stride, x, row * stride, stride, scratch);
        store(scratch, 1, y, row * outputs + output, outputs, 1);
      }
    }
    for (; output < outputs; output++) {
      for (int row = 0; row < rows; row++) {
        y[row * outputs + output] = dot(w, output * stride, x, row * stride, stride);
      }
    }
  }

  /// Adds up the vectors of partial sums of a tile, the four of a row at a time, each in the order
  /// of [MlstmMath#sum]: halves, then quarters, then what is left. Written out, since a vector that
  /// is given to a method may end up on the heap.
  ///
  /// @param stride floats of y from one row to the next
  /// @param step floats of y from one output to the next
  static void store(float[] sums, int rows, float[] y, int offset, int stride, int step) {
    if (WIDTH < 4 || WIDTH > 16) {
      storeOneByOne(sums, rows, y, offset, stride, step);
      return;
    }
    for (int row = 0; row < rows; row++) {
      int from = row * TILE * WIDTH;
      var a = FloatVector.fromArray(LANES, sums, from);
      var b = FloatVector.fromArray(LANES, sums, from + WIDTH);
      var c = FloatVector.fromArray(LANES, sums, from + 2 * WIDTH);
      var d = FloatVector.fromArray(LANES, sums, from + 3 * WIDTH);
      var ab =
          a.blend(b.rearrange(BY_HALF), LAST_HALF).add(a.rearrange(BY_HALF).blend(b, LAST_HALF));
      var cd =
          c.blend(d.rearrange(BY_HALF), LAST_HALF).add(c.rearrange(BY_HALF).blend(d, LAST_HALF));
      var acbd =
          ab.blend(cd.rearrange(BACK_BY_QUARTER), ODD_QUARTERS)
              .add(ab.rearrange(BY_QUARTER).blend(cd, ODD_QUARTERS));
      if (WIDTH >= 16) {
        acbd = acbd.add(acbd.rearrange(BY_2));
      }
      if (WIDTH >= 8) {
        acbd = acbd.add(acbd.rearrange(BY_1));
      }
      acbd.intoArray(sums, from);
      int to = offset + row * stride;
      y[to] = sums[from];
      y[to + step] = sums[from + WIDTH / 2];
      y[to + 2 * step] = sums[from + WIDTH / 4];
      y[to + 3 * step] = sums[from + 3 * WIDTH / 4];
    }
  }

  private static void storeOneByOne(
      float[] sums, int rows, float[] y, int offset, int stride, int step) {
    for (int row = 0; row < rows; row++) {
      for (int output = 0; output < TILE; output++) {
        int from = (row * TILE + output) * WIDTH;
        float sum = MlstmMath.sum(FloatVector.fromArray(LANES, sums, from));
        y[offset + row * stride + output * step] = sum;
      }
    }
  }

  private static float dot(float[] w, int w0, float[] x, int x0, int stride) {
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < stride; i += WIDTH) {
      sum =
          FloatVector.fromArray(LANES, x, x0 + i).fma(FloatVector.fromArray(LANES, w, w0 + i), sum);
    }
    return MlstmMath.sum(sum);
  }

  private static void tile4x4(float[] w, int w0, float[] x, int x0, int stride, float[] sums) {
    int w1 = w0 + stride;
    int w2 = w1 + stride;
    int w3 = w2 + stride;
    int x1 = x0 + stride;
    int x2 = x1 + stride;
    int x3 = x2 + stride;
    var s00 = FloatVector.zero(LANES);
    var s01 = FloatVector.zero(LANES);
    var s02 = FloatVector.zero(LANES);
    var s03 = FloatVector.zero(LANES);
    var s10 = FloatVector.zero(LANES);
    var s11 = FloatVector.zero(LANES);
    var s12 = FloatVector.zero(LANES);
    var s13 = FloatVector.zero(LANES);
    var s20 = FloatVector.zero(LANES);
    var s21 = FloatVector.zero(LANES);
    var s22 = FloatVector.zero(LANES);
    var s23 = FloatVector.zero(LANES);
    var s30 = FloatVector.zero(LANES);
    var s31 = FloatVector.zero(LANES);
    var s32 = FloatVector.zero(LANES);
    var s33 = FloatVector.zero(LANES);
    for (int i = 0; i < stride; i += WIDTH) {
      var b0 = FloatVector.fromArray(LANES, w, w0 + i);
      var b1 = FloatVector.fromArray(LANES, w, w1 + i);
      var b2 = FloatVector.fromArray(LANES, w, w2 + i);
      var b3 = FloatVector.fromArray(LANES, w, w3 + i);
      var a0 = FloatVector.fromArray(LANES, x, x0 + i);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      s02 = a0.fma(b2, s02);
      s03 = a0.fma(b3, s03);
      var a1 = FloatVector.fromArray(LANES, x, x1 + i);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      s12 = a1.fma(b2, s12);
      s13 = a1.fma(b3, s13);
      var a2 = FloatVector.fromArray(LANES, x, x2 + i);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      s22 = a2.fma(b2, s22);
      s23 = a2.fma(b3, s23);
      var a3 = FloatVector.fromArray(LANES, x, x3 + i);
      s30 = a3.fma(b0, s30);
      s31 = a3.fma(b1, s31);
      s32 = a3.fma(b2, s32);
      s33 = a3.fma(b3, s33);
    }
    s00.intoArray(sums, 0);
    s01.intoArray(sums, WIDTH);
    s02.intoArray(sums, 2 * WIDTH);
    s03.intoArray(sums, 3 * WIDTH);
    s10.intoArray(sums, 4 * WIDTH);
    s11.intoArray(sums, 5 * WIDTH);
    s12.intoArray(sums, 6 * WIDTH);
    s13.intoArray(sums, 7 * WIDTH);
    s20.intoArray(sums, 8 * WIDTH);
    s21.intoArray(sums, 9 * WIDTH);
    s22.intoArray(sums, 10 * WIDTH);
    s23.intoArray(sums, 11 * WIDTH);
    s30.intoArray(sums, 12 * WIDTH);
    s31.intoArray(sums, 13 * WIDTH);
    s32.intoArray(sums, 14 * WIDTH);
    s33.intoArray(sums, 15 * WIDTH);
  }

  private static void tile1x4(float[] w, int w0, float[] x, int x0, int stride, float[] sums) {
    int w1 = w0 + stride;
    int w2 = w1 + stride;
    int w3 = w2 + stride;
    var s00 = FloatVector.zero(LANES);
    var s01 = FloatVector.zero(LANES);
    var s02 = FloatVector.zero(LANES);
    var s03 = FloatVector.zero(LANES);
    for (int i = 0; i < stride; i += WIDTH) {
      var b0 = FloatVector.fromArray(LANES, w, w0 + i);
      var b1 = FloatVector.fromArray(LANES, w, w1 + i);
      var b2 = FloatVector.fromArray(LANES, w, w2 + i);
      var b3 = FloatVector.fromArray(LANES, w, w3 + i);
      var a0 = FloatVector.fromArray(LANES, x, x0 + i);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      s02 = a0.fma(b2, s02);
      s03 = a0.fma(b3, s03);
    }
    s00.intoArray(sums, 0);
    s01.intoArray(sums, WIDTH);
    s02.intoArray(sums, 2 * WIDTH);
    s03.intoArray(sums, 3 * WIDTH);
  }
}
