package io.xlstm4j.kernels.vector.slstm;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// `c += a b` where b is a panel, one or several vectors wide, whose rows lie one after the other.
///
/// Every element of c is summed in the order of b's rows, whatever the blocking.
final class SlstmProduct {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int L = LANES.length();

  private SlstmProduct() {}

  /// A panel of four vectors: one for each gate.
  ///
  /// @param a element `(row, step)` at `aStart + row * aRow + step * aStep`
  /// @param b `(steps, 4 L)` from `bStart`
  /// @param c `(rows, 4 L)` from `cStart`, rows `cRow` apart
  static void add4(
      int rows,
      int steps,
      float[] a,
      int aStart,
      int aRow,
      int aStep,
      float[] b,
      int bStart,
      float[] c,
      int cStart,
      int cRow) {
    int row = 0;
    for (; row + 4 <= rows; row += 4) {
      add4x4(steps, a, aStart + row * aRow, aRow, aStep, b, bStart, c, cStart + row * cRow, cRow);
    }
    for (; row < rows; row++) {
      add1x4(steps, a, aStart + row * aRow, aStep, b, bStart, c, cStart + row * cRow);
    }
  }

  /// A panel of two vectors.
  ///
  /// @param a element `(row, step)` at `row * aRow + step`
  /// @param b `(steps, 2 L)` from `bStart`
  /// @param c `(rows, 2 L)` from `cStart`, rows `cRow` apart
  static void add2(
      int rows,
      int steps,
      float[] a,
      int aRow,
      float[] b,
      int bStart,
      float[] c,
      int cStart,
      int cRow) {
    int row = 0;
    for (; row + 4 <= rows; row += 4) {
      add4x2(steps, a, row * aRow, aRow, b, bStart, c, cStart + row * cRow, cRow);
    }
    for (; row < rows; row++) {
      add1x2(steps, a, row * aRow, b, bStart, c, cStart + row * cRow);
    }
  }

  private static void add4x4(
      int steps,
      float[] a,
      int aStart,
      int aRow,
      int aStep,
      float[] b,
      int bStart,
      float[] c,
      int c0,
      int cRow) {
    int c1 = c0 + cRow;
    int c2 = c1 + cRow;
    int c3 = c2 + cRow;
    FloatVector s00 = at(c, c0);
    FloatVector s01 = at(c, c0 + L);
    FloatVector s02 = at(c, c0 + 2 * L);
    FloatVector s03 = at(c, c0 + 3 * L);
    FloatVector s10 = at(c, c1);
    FloatVector s11 = at(c, c1 + L);
    FloatVector s12 = at(c, c1 + 2 * L);
    FloatVector s13 = at(c, c1 + 3 * L);
    FloatVector s20 = at(c, c2);
    FloatVector s21 = at(c, c2 + L);
    FloatVector s22 = at(c, c2 + 2 * L);
    FloatVector s23 = at(c, c2 + 3 * L);
    FloatVector s30 = at(c, c3);
    FloatVector s31 = at(c, c3 + L);
    FloatVector s32 = at(c, c3 + 2 * L);
    FloatVector s33 = at(c, c3 + 3 * L);
    for (int step = 0; step < steps; step++) {
      int bOffset = bStart + step * 4 * L;
      FloatVector b0 = at(b, bOffset);
      FloatVector b1 = at(b, bOffset + L);
      FloatVector b2 = at(b, bOffset + 2 * L);
      FloatVector b3 = at(b, bOffset + 3 * L);
      int aOffset = aStart + step * aStep;
      FloatVector x = FloatVector.broadcast(LANES, a[aOffset]);
      s00 = b0.fma(x, s00);
      s01 = b1.fma(x, s01);
      s02 = b2.fma(x, s02);
      s03 = b3.fma(x, s03);
      x = FloatVector.broadcast(LANES, a[aOffset + aRow]);
      s10 = b0.fma(x, s10);
      s11 = b1.fma(x, s11);
      s12 = b2.fma(x, s12);
      s13 = b3.fma(x, s13);
      x = FloatVector.broadcast(LANES, a[aOffset + 2 * aRow]);
      s20 = b0.fma(x, s20);
      s21 = b1.fma(x, s21);
      s22 = b2.fma(x, s22);
      s23 = b3.fma(x, s23);
      x = FloatVector.broadcast(LANES, a[aOffset + 3 * aRow]);
      s30 = b0.fma(x, s30);
      s31 = b1.fma(x, s31);
      s32 = b2.fma(x, s32);
      s33 = b3.fma(x, s33);
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + L);
    s02.intoArray(c, c0 + 2 * L);
    s03.intoArray(c, c0 + 3 * L);
    s10.intoArray(c, c1);
    s11.intoArray(c, c1 + L);
    s12.intoArray(c, c1 + 2 * L);
    s13.intoArray(c, c1 + 3 * L);
    s20.intoArray(c, c2);
    s21.intoArray(c, c2 + L);
    s22.intoArray(c, c2 + 2 * L);
    s23.intoArray(c, c2 + 3 * L);
    s30.intoArray(c, c3);
    s31.intoArray(c, c3 + L);
    s32.intoArray(c, c3 + 2 * L);
    s33.intoArray(c, c3 + 3 * L);
  }

  private static void add1x4(
      int steps, float[] a, int aStart, int aStep, float[] b, int bStart, float[] c, int c0) {
    FloatVector s0 = at(c, c0);
    FloatVector s1 = at(c, c0 + L);
    FloatVector s2 = at(c, c0 + 2 * L);
    FloatVector s3 = at(c, c0 + 3 * L);
    for (int step = 0; step < steps; step++) {
      int bOffset = bStart + step * 4 * L;
      FloatVector x = FloatVector.broadcast(LANES, a[aStart + step * aStep]);
      s0 = at(b, bOffset).fma(x, s0);
      s1 = at(b, bOffset + L).fma(x, s1);
      s2 = at(b, bOffset + 2 * L).fma(x, s2);
      s3 = at(b, bOffset + 3 * L).fma(x, s3);
    }
    s0.intoArray(c, c0);
    s1.intoArray(c, c0 + L);
    s2.intoArray(c, c0 + 2 * L);
    s3.intoArray(c, c0 + 3 * L);
  }

  private static void add4x2(
      int steps, float[] a, int a0, int aRow, float[] b, int bStart, float[] c, int c0, int cRow) {
    int a1 = a0 + aRow;
    int a2 = a1 + aRow;
    int a3 = a2 + aRow;
    int c1 = c0 + cRow;
    int c2 = c1 + cRow;
    int c3 = c2 + cRow;
    FloatVector s00 = at(c, c0);
    FloatVector s01 = at(c, c0 + L);
    FloatVector s10 = at(c, c1);
    FloatVector s11 = at(c, c1 + L);
    FloatVector s20 = at(c, c2);
    FloatVector s21 = at(c, c2 + L);
    FloatVector s30 = at(c, c3);
    FloatVector s31 = at(c, c3 + L);
    for (int step = 0; step < steps; step++) {
      int bOffset = bStart + step * 2 * L;
      FloatVector b0 = at(b, bOffset);
      FloatVector b1 = at(b, bOffset + L);
      FloatVector x = FloatVector.broadcast(LANES, a[a0 + step]);
      s00 = b0.fma(x, s00);
      s01 = b1.fma(x, s01);
      x = FloatVector.broadcast(LANES, a[a1 + step]);
      s10 = b0.fma(x, s10);
      s11 = b1.fma(x, s11);
      x = FloatVector.broadcast(LANES, a[a2 + step]);
      s20 = b0.fma(x, s20);
      s21 = b1.fma(x, s21);
      x = FloatVector.broadcast(LANES, a[a3 + step]);
      s30 = b0.fma(x, s30);
      s31 = b1.fma(x, s31);
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + L);
    s10.intoArray(c, c1);
    s11.intoArray(c, c1 + L);
    s20.intoArray(c, c2);
    s21.intoArray(c, c2 + L);
    s30.intoArray(c, c3);
    s31.intoArray(c, c3 + L);
  }

  private static void add1x2(
      int steps, float[] a, int a0, float[] b, int bStart, float[] c, int c0) {
    FloatVector s0 = at(c, c0);
    FloatVector s1 = at(c, c0 + L);
    for (int step = 0; step < steps; step++) {
      int bOffset = bStart + step * 2 * L;
      FloatVector x = FloatVector.broadcast(LANES, a[a0 + step]);
      s0 = at(b, bOffset).fma(x, s0);
      s1 = at(b, bOffset + L).fma(x, s1);
    }
    s0.intoArray(c, c0);
    s1.intoArray(c, c0 + L);
  }
}
