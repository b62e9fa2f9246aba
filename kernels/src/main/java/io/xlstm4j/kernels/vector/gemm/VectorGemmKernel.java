package io.xlstm4j.kernels.vector.gemm;

import io.xlstm4j.kernels.GemmKernel;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorSpecies;

/// [GemmKernel] on the Vector API: tiles of the result stay in registers while the inner index
/// runs.
///
/// Sums run in the order of the inner index with fused multiply-adds, so an element differs from
/// the plain loops by at most `k` rounding errors of its largest partial sum.
public final class VectorGemmKernel implements GemmKernel {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  private static final int ROWS = 4; // of a tile

  /// Vectors in a row of the widest tile: 16 sums and the operands fit 32 registers; 8-lane
  /// machines (AVX2) have only 16.
  private static final int VECTORS = WIDTH == 8 ? 2 : 4;

  private final Transposition transposition = new Transposition();
  private float[] transposed = new float[0];

  @Override
  public void multiply(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    multiply(m, n, k, a, a.stride(), 1, b, c, add);
  }

  @Override
  public void multiplyTransposedLeft(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    multiply(m, n, k, a, 1, a.stride(), b, c, add);
  }

  @Override
  public void multiplyTransposedRight(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    if (transposed.length < n * k) {
      transposed = new float[n * k];
    }
    var bT = new Block(transposed, 0, n);
    transposition.run(n, k, b, bT);
    multiply(m, n, k, a, a.stride(), 1, bT, c, add);
  }

  private static void multiply(
      int m, int n, int k, Block a, int aRow, int aStep, Block b, Block c, boolean add) {
    int column = 0;
    for (; column + VECTORS * WIDTH <= n && VECTORS == 4; column += 4 * WIDTH) {
      int row = 0;
      for (; row + ROWS <= m; row += ROWS) {
        tile4x4(
            k,
            a.data(),
            a.offset() + row * aRow,
            aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            c.stride(),
            add);
      }
      for (; row < m; row++) {
        tile1x4(
            k,
            a.data(),
            a.offset() + row * aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            add);
      }
    }
    for (; column + 2 * WIDTH <= n; column += 2 * WIDTH) {
      int row = 0;
      for (; row + ROWS <= m; row += ROWS) {
        tile4x2(
            k,
            a.data(),
            a.offset() + row * aRow,
            aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            c.stride(),
            add);
      }
      for (; row < m; row++) {
        tile1x2(
            k,
            a.data(),
            a.offset() + row * aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            add);
      }
    }
    for (; column < n; column += WIDTH) {
      VectorMask<Float> mask = LANES.indexInRange(column, n);
      int row = 0;
      for (; row + ROWS <= m; row += ROWS) {
        tile4x1Masked(
            k,
            a.data(),
            a.offset() + row * aRow,
            aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            c.stride(),
            mask,
            add);
      }
      for (; row < m; row++) {
        tile1x1Masked(
            k,
            a.data(),
            a.offset() + row * aRow,
            aStep,
            b.data(),
            b.offset() + column,
            b.stride(),
            c.data(),
            c.offset() + row * c.stride() + column,
            mask,
            add);
      }
    }
  }

  private static void tile4x4(
      int k,
      float[] a,
      int a0,
      int aRow,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      int cStride,
      boolean add) {
    int c1 = c0 + cStride;
    int c2 = c1 + cStride;
    int c3 = c2 + cStride;
    var s00 = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s01 = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s02 = add ? FloatVector.fromArray(LANES, c, c0 + 2 * WIDTH) : FloatVector.zero(LANES);
    var s03 = add ? FloatVector.fromArray(LANES, c, c0 + 3 * WIDTH) : FloatVector.zero(LANES);
    var s10 = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s11 = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s12 = add ? FloatVector.fromArray(LANES, c, c1 + 2 * WIDTH) : FloatVector.zero(LANES);
    var s13 = add ? FloatVector.fromArray(LANES, c, c1 + 3 * WIDTH) : FloatVector.zero(LANES);
    var s20 = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s21 = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s22 = add ? FloatVector.fromArray(LANES, c, c2 + 2 * WIDTH) : FloatVector.zero(LANES);
    var s23 = add ? FloatVector.fromArray(LANES, c, c2 + 3 * WIDTH) : FloatVector.zero(LANES);
    var s30 = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s31 = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    var s32 = add ? FloatVector.fromArray(LANES, c, c3 + 2 * WIDTH) : FloatVector.zero(LANES);
    var s33 = add ? FloatVector.fromArray(LANES, c, c3 + 3 * WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0);
      var y1 = FloatVector.fromArray(LANES, b, b0 + WIDTH);
      var y2 = FloatVector.fromArray(LANES, b, b0 + 2 * WIDTH);
      var y3 = FloatVector.fromArray(LANES, b, b0 + 3 * WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      s01 = x0.fma(y1, s01);
      s02 = x0.fma(y2, s02);
      s03 = x0.fma(y3, s03);
      var x1 = FloatVector.broadcast(LANES, a[a0 + aRow]);
      s10 = x1.fma(y0, s10);
      s11 = x1.fma(y1, s11);
      s12 = x1.fma(y2, s12);
      s13 = x1.fma(y3, s13);
      var x2 = FloatVector.broadcast(LANES, a[a0 + 2 * aRow]);
      s20 = x2.fma(y0, s20);
      s21 = x2.fma(y1, s21);
      s22 = x2.fma(y2, s22);
      s23 = x2.fma(y3, s23);
      var x3 = FloatVector.broadcast(LANES, a[a0 + 3 * aRow]);
      s30 = x3.fma(y0, s30);
      s31 = x3.fma(y1, s31);
      s32 = x3.fma(y2, s32);
      s33 = x3.fma(y3, s33);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + WIDTH);
    s02.intoArray(c, c0 + 2 * WIDTH);
    s03.intoArray(c, c0 + 3 * WIDTH);
    s10.intoArray(c, c1);
    s11.intoArray(c, c1 + WIDTH);
    s12.intoArray(c, c1 + 2 * WIDTH);
    s13.intoArray(c, c1 + 3 * WIDTH);
    s20.intoArray(c, c2);
    s21.intoArray(c, c2 + WIDTH);
    s22.intoArray(c, c2 + 2 * WIDTH);
    s23.intoArray(c, c2 + 3 * WIDTH);
    s30.intoArray(c, c3);
    s31.intoArray(c, c3 + WIDTH);
    s32.intoArray(c, c3 + 2 * WIDTH);
    s33.intoArray(c, c3 + 3 * WIDTH);
  }

  private static void tile4x2(
      int k,
      float[] a,
      int a0,
      int aRow,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      int cStride,
      boolean add) {
    int c1 = c0 + cStride;
    int c2 = c1 + cStride;
    int c3 = c2 + cStride;
    var s00 = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s01 = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s10 = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s11 = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s20 = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s21 = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s30 = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s31 = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0);
      var y1 = FloatVector.fromArray(LANES, b, b0 + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      s01 = x0.fma(y1, s01);
      var x1 = FloatVector.broadcast(LANES, a[a0 + aRow]);
      s10 = x1.fma(y0, s10);
      s11 = x1.fma(y1, s11);
      var x2 = FloatVector.broadcast(LANES, a[a0 + 2 * aRow]);
      s20 = x2.fma(y0, s20);
      s21 = x2.fma(y1, s21);
      var x3 = FloatVector.broadcast(LANES, a[a0 + 3 * aRow]);
      s30 = x3.fma(y0, s30);
      s31 = x3.fma(y1, s31);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + WIDTH);
    s10.intoArray(c, c1);
    s11.intoArray(c, c1 + WIDTH);
    s20.intoArray(c, c2);
    s21.intoArray(c, c2 + WIDTH);
    s30.intoArray(c, c3);
    s31.intoArray(c, c3 + WIDTH);
  }

  private static void tile4x1Masked(
      int k,
      float[] a,
      int a0,
      int aRow,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      int cStride,
      VectorMask<Float> mask,
      boolean add) {
    int c1 = c0 + cStride;
    int c2 = c1 + cStride;
    int c3 = c2 + cStride;
    var s00 = add ? FloatVector.fromArray(LANES, c, c0, mask) : FloatVector.zero(LANES);
    var s10 = add ? FloatVector.fromArray(LANES, c, c1, mask) : FloatVector.zero(LANES);
    var s20 = add ? FloatVector.fromArray(LANES, c, c2, mask) : FloatVector.zero(LANES);
    var s30 = add ? FloatVector.fromArray(LANES, c, c3, mask) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0, mask);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      var x1 = FloatVector.broadcast(LANES, a[a0 + aRow]);
      s10 = x1.fma(y0, s10);
      var x2 = FloatVector.broadcast(LANES, a[a0 + 2 * aRow]);
      s20 = x2.fma(y0, s20);
      var x3 = FloatVector.broadcast(LANES, a[a0 + 3 * aRow]);
      s30 = x3.fma(y0, s30);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0, mask);
    s10.intoArray(c, c1, mask);
    s20.intoArray(c, c2, mask);
    s30.intoArray(c, c3, mask);
  }

  private static void tile1x4(
      int k,
      float[] a,
      int a0,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      boolean add) {
    var s00 = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s01 = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s02 = add ? FloatVector.fromArray(LANES, c, c0 + 2 * WIDTH) : FloatVector.zero(LANES);
    var s03 = add ? FloatVector.fromArray(LANES, c, c0 + 3 * WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0);
      var y1 = FloatVector.fromArray(LANES, b, b0 + WIDTH);
      var y2 = FloatVector.fromArray(LANES, b, b0 + 2 * WIDTH);
      var y3 = FloatVector.fromArray(LANES, b, b0 + 3 * WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      s01 = x0.fma(y1, s01);
      s02 = x0.fma(y2, s02);
      s03 = x0.fma(y3, s03);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + WIDTH);
    s02.intoArray(c, c0 + 2 * WIDTH);
    s03.intoArray(c, c0 + 3 * WIDTH);
  }

  private static void tile1x2(
      int k,
      float[] a,
      int a0,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      boolean add) {
    var s00 = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s01 = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0);
      var y1 = FloatVector.fromArray(LANES, b, b0 + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      s01 = x0.fma(y1, s01);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0);
    s01.intoArray(c, c0 + WIDTH);
  }

  private static void tile1x1Masked(
      int k,
      float[] a,
      int a0,
      int aStep,
      float[] b,
      int b0,
      int bStride,
      float[] c,
      int c0,
      VectorMask<Float> mask,
      boolean add) {
    var s00 = add ? FloatVector.fromArray(LANES, c, c0, mask) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      var y0 = FloatVector.fromArray(LANES, b, b0, mask);
      var x0 = FloatVector.broadcast(LANES, a[a0]);
      s00 = x0.fma(y0, s00);
      a0 += aStep;
      b0 += bStride;
    }
    s00.intoArray(c, c0, mask);
  }
}
