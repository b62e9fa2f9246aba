package io.xlstm4j.kernels.vector.gemm;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// Products of a block of at most [#DEEP] inner positions with a panel [#WIDE] columns wide, all
/// strides constants: so the compiler takes the checks of indices out of the loops, and one
/// register addresses all rows.
///
/// Tiles are two vectors wide and many rows high, so that little of the right-hand panel is read
/// for each multiplication and it may come from the second cache. Sums run in the order of the
/// inner index with fused multiply-adds. [VectorGemmKernel] is for strides of any kind.
public final class PackedGemm {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();

  /// Columns of a panel `(k, WIDE)`.
  public static final int WIDE = 2 * WIDTH;

  /// The most inner positions, and the most rows of a turned left-hand block.
  public static final int DEEP = 128;

  /// Floats from one row of a left-hand block to the next: no power of two, or its rows would meet
  /// in few sets of the cache.
  public static final int STRIDE = DEEP + 16;

  /// Rows are done in such units: blocks must have room for a whole number of them, whose last rows
  /// may hold anything.
  public static final int UNIT = 4;

  /// Machines of 8 lanes (AVX2) have 16 registers, the others 32.
  private static final boolean FEW_REGISTERS = WIDTH == 8;

  private PackedGemm() {}

  /// `c = a b`, or `c += a b` if `add`.
  ///
  /// @param a `(rows, k)` from `a0` on, [#STRIDE] apart
  /// @param b `(k, WIDE)` from `b0` on
  /// @param c `(rows, WIDE)` from `c0` on, `stride` apart
  public static void multiply(
      int rows,
      int k,
      float[] a,
      int a0,
      float[] b,
      int b0,
      float[] c,
      int c0,
      int stride,
      boolean add) {
    int row = 0;
    for (; row + 12 <= rows && !FEW_REGISTERS; row += 12) {
      tile12(k, a, a0 + row * STRIDE, b, b0, c, c0 + row * stride, stride, add);
    }
    for (; row < rows; row += 4) {
      tile4(k, a, a0 + row * STRIDE, b, b0, c, c0 + row * stride, stride, add);
    }
  }

  /// `c = aᵀ b`, or `c += aᵀ b` if `add`.
  ///
  /// @param a `(k, rows)` from `a0` on, [#STRIDE] apart
  /// @param b `(k, WIDE)` from `b0` on
  /// @param c `(rows, WIDE)` from `c0` on, `stride` apart
  static void multiplyTurned(
      int rows,
      int k,
      float[] a,
      int a0,
      float[] b,
      int b0,
      float[] c,
      int c0,
      int stride,
      boolean add) {
    int row = 0;
    for (; row + 12 <= rows && !FEW_REGISTERS; row += 12) {
      turned12(k, a, a0 + row, b, b0, c, c0 + row * stride, stride, add);
    }
    for (; row < rows; row += 4) {
      turned4(k, a, a0 + row, b, b0, c, c0 + row * stride, stride, add);
    }
  }

  private static void tile12(
      int k, float[] a, int a0, float[] b, int b0, float[] c, int c0, int stride, boolean add) {
    int c1 = c0 + stride;
    int c2 = c1 + stride;
    int c3 = c2 + stride;
    int c4 = c3 + stride;
    int c5 = c4 + stride;
    int c6 = c5 + stride;
    int c7 = c6 + stride;
    int c8 = c7 + stride;
    int c9 = c8 + stride;
    int c10 = c9 + stride;
    int c11 = c10 + stride;
    var s0a = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s0b = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s1a = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s1b = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s2a = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s2b = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s3a = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s3b = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    var s4a = add ? FloatVector.fromArray(LANES, c, c4) : FloatVector.zero(LANES);
    var s4b = add ? FloatVector.fromArray(LANES, c, c4 + WIDTH) : FloatVector.zero(LANES);
    var s5a = add ? FloatVector.fromArray(LANES, c, c5) : FloatVector.zero(LANES);
    var s5b = add ? FloatVector.fromArray(LANES, c, c5 + WIDTH) : FloatVector.zero(LANES);
    var s6a = add ? FloatVector.fromArray(LANES, c, c6) : FloatVector.zero(LANES);
    var s6b = add ? FloatVector.fromArray(LANES, c, c6 + WIDTH) : FloatVector.zero(LANES);
    var s7a = add ? FloatVector.fromArray(LANES, c, c7) : FloatVector.zero(LANES);
    var s7b = add ? FloatVector.fromArray(LANES, c, c7 + WIDTH) : FloatVector.zero(LANES);
    var s8a = add ? FloatVector.fromArray(LANES, c, c8) : FloatVector.zero(LANES);
    var s8b = add ? FloatVector.fromArray(LANES, c, c8 + WIDTH) : FloatVector.zero(LANES);
    var s9a = add ? FloatVector.fromArray(LANES, c, c9) : FloatVector.zero(LANES);
    var s9b = add ? FloatVector.fromArray(LANES, c, c9 + WIDTH) : FloatVector.zero(LANES);
    var s10a = add ? FloatVector.fromArray(LANES, c, c10) : FloatVector.zero(LANES);
    var s10b = add ? FloatVector.fromArray(LANES, c, c10 + WIDTH) : FloatVector.zero(LANES);
    var s11a = add ? FloatVector.fromArray(LANES, c, c11) : FloatVector.zero(LANES);
    var s11b = add ? FloatVector.fromArray(LANES, c, c11 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      int offset = a0 + i;
      var ya = FloatVector.fromArray(LANES, b, b0 + i * WIDE);
      var yb = FloatVector.fromArray(LANES, b, b0 + i * WIDE + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[offset]);
      s0a = x0.fma(ya, s0a);
      s0b = x0.fma(yb, s0b);
      var x1 = FloatVector.broadcast(LANES, a[offset + STRIDE]);
      s1a = x1.fma(ya, s1a);
      s1b = x1.fma(yb, s1b);
      var x2 = FloatVector.broadcast(LANES, a[offset + 2 * STRIDE]);
      s2a = x2.fma(ya, s2a);
      s2b = x2.fma(yb, s2b);
      var x3 = FloatVector.broadcast(LANES, a[offset + 3 * STRIDE]);
      s3a = x3.fma(ya, s3a);
      s3b = x3.fma(yb, s3b);
      var x4 = FloatVector.broadcast(LANES, a[offset + 4 * STRIDE]);
      s4a = x4.fma(ya, s4a);
      s4b = x4.fma(yb, s4b);
      var x5 = FloatVector.broadcast(LANES, a[offset + 5 * STRIDE]);
      s5a = x5.fma(ya, s5a);
      s5b = x5.fma(yb, s5b);
      var x6 = FloatVector.broadcast(LANES, a[offset + 6 * STRIDE]);
      s6a = x6.fma(ya, s6a);
      s6b = x6.fma(yb, s6b);
      var x7 = FloatVector.broadcast(LANES, a[offset + 7 * STRIDE]);
      s7a = x7.fma(ya, s7a);
      s7b = x7.fma(yb, s7b);
      var x8 = FloatVector.broadcast(LANES, a[offset + 8 * STRIDE]);
      s8a = x8.fma(ya, s8a);
      s8b = x8.fma(yb, s8b);
      var x9 = FloatVector.broadcast(LANES, a[offset + 9 * STRIDE]);
      s9a = x9.fma(ya, s9a);
      s9b = x9.fma(yb, s9b);
      var x10 = FloatVector.broadcast(LANES, a[offset + 10 * STRIDE]);
      s10a = x10.fma(ya, s10a);
      s10b = x10.fma(yb, s10b);
      var x11 = FloatVector.broadcast(LANES, a[offset + 11 * STRIDE]);
      s11a = x11.fma(ya, s11a);
      s11b = x11.fma(yb, s11b);
    }
    s0a.intoArray(c, c0);
    s0b.intoArray(c, c0 + WIDTH);
    s1a.intoArray(c, c1);
    s1b.intoArray(c, c1 + WIDTH);
    s2a.intoArray(c, c2);
    s2b.intoArray(c, c2 + WIDTH);
    s3a.intoArray(c, c3);
    s3b.intoArray(c, c3 + WIDTH);
    s4a.intoArray(c, c4);
    s4b.intoArray(c, c4 + WIDTH);
    s5a.intoArray(c, c5);
    s5b.intoArray(c, c5 + WIDTH);
    s6a.intoArray(c, c6);
    s6b.intoArray(c, c6 + WIDTH);
    s7a.intoArray(c, c7);
    s7b.intoArray(c, c7 + WIDTH);
    s8a.intoArray(c, c8);
    s8b.intoArray(c, c8 + WIDTH);
    s9a.intoArray(c, c9);
    s9b.intoArray(c, c9 + WIDTH);
    s10a.intoArray(c, c10);
    s10b.intoArray(c, c10 + WIDTH);
    s11a.intoArray(c, c11);
    s11b.intoArray(c, c11 + WIDTH);
  }

  private static void tile4(
      int k, float[] a, int a0, float[] b, int b0, float[] c, int c0, int stride, boolean add) {
    int c1 = c0 + stride;
    int c2 = c1 + stride;
    int c3 = c2 + stride;
    var s0a = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s0b = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s1a = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s1b = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s2a = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s2b = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s3a = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s3b = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      int offset = a0 + i;
      var ya = FloatVector.fromArray(LANES, b, b0 + i * WIDE);
      var yb = FloatVector.fromArray(LANES, b, b0 + i * WIDE + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[offset]);
      s0a = x0.fma(ya, s0a);
      s0b = x0.fma(yb, s0b);
      var x1 = FloatVector.broadcast(LANES, a[offset + STRIDE]);
      s1a = x1.fma(ya, s1a);
      s1b = x1.fma(yb, s1b);
      var x2 = FloatVector.broadcast(LANES, a[offset + 2 * STRIDE]);
      s2a = x2.fma(ya, s2a);
      s2b = x2.fma(yb, s2b);
      var x3 = FloatVector.broadcast(LANES, a[offset + 3 * STRIDE]);
      s3a = x3.fma(ya, s3a);
      s3b = x3.fma(yb, s3b);
    }
    s0a.intoArray(c, c0);
    s0b.intoArray(c, c0 + WIDTH);
    s1a.intoArray(c, c1);
    s1b.intoArray(c, c1 + WIDTH);
    s2a.intoArray(c, c2);
    s2b.intoArray(c, c2 + WIDTH);
    s3a.intoArray(c, c3);
    s3b.intoArray(c, c3 + WIDTH);
  }

  private static void turned12(
      int k, float[] a, int a0, float[] b, int b0, float[] c, int c0, int stride, boolean add) {
    int c1 = c0 + stride;
    int c2 = c1 + stride;
    int c3 = c2 + stride;
    int c4 = c3 + stride;
    int c5 = c4 + stride;
    int c6 = c5 + stride;
    int c7 = c6 + stride;
    int c8 = c7 + stride;
    int c9 = c8 + stride;
    int c10 = c9 + stride;
    int c11 = c10 + stride;
    var s0a = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s0b = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s1a = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s1b = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s2a = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s2b = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s3a = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s3b = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    var s4a = add ? FloatVector.fromArray(LANES, c, c4) : FloatVector.zero(LANES);
    var s4b = add ? FloatVector.fromArray(LANES, c, c4 + WIDTH) : FloatVector.zero(LANES);
    var s5a = add ? FloatVector.fromArray(LANES, c, c5) : FloatVector.zero(LANES);
    var s5b = add ? FloatVector.fromArray(LANES, c, c5 + WIDTH) : FloatVector.zero(LANES);
    var s6a = add ? FloatVector.fromArray(LANES, c, c6) : FloatVector.zero(LANES);
    var s6b = add ? FloatVector.fromArray(LANES, c, c6 + WIDTH) : FloatVector.zero(LANES);
    var s7a = add ? FloatVector.fromArray(LANES, c, c7) : FloatVector.zero(LANES);
    var s7b = add ? FloatVector.fromArray(LANES, c, c7 + WIDTH) : FloatVector.zero(LANES);
    var s8a = add ? FloatVector.fromArray(LANES, c, c8) : FloatVector.zero(LANES);
    var s8b = add ? FloatVector.fromArray(LANES, c, c8 + WIDTH) : FloatVector.zero(LANES);
    var s9a = add ? FloatVector.fromArray(LANES, c, c9) : FloatVector.zero(LANES);
    var s9b = add ? FloatVector.fromArray(LANES, c, c9 + WIDTH) : FloatVector.zero(LANES);
    var s10a = add ? FloatVector.fromArray(LANES, c, c10) : FloatVector.zero(LANES);
    var s10b = add ? FloatVector.fromArray(LANES, c, c10 + WIDTH) : FloatVector.zero(LANES);
    var s11a = add ? FloatVector.fromArray(LANES, c, c11) : FloatVector.zero(LANES);
    var s11b = add ? FloatVector.fromArray(LANES, c, c11 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      int offset = a0 + i * STRIDE;
      var ya = FloatVector.fromArray(LANES, b, b0 + i * WIDE);
      var yb = FloatVector.fromArray(LANES, b, b0 + i * WIDE + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[offset]);
      s0a = x0.fma(ya, s0a);
      s0b = x0.fma(yb, s0b);
      var x1 = FloatVector.broadcast(LANES, a[offset + 1]);
      s1a = x1.fma(ya, s1a);
      s1b = x1.fma(yb, s1b);
      var x2 = FloatVector.broadcast(LANES, a[offset + 2]);
      s2a = x2.fma(ya, s2a);
      s2b = x2.fma(yb, s2b);
      var x3 = FloatVector.broadcast(LANES, a[offset + 3]);
      s3a = x3.fma(ya, s3a);
      s3b = x3.fma(yb, s3b);
      var x4 = FloatVector.broadcast(LANES, a[offset + 4]);
      s4a = x4.fma(ya, s4a);
      s4b = x4.fma(yb, s4b);
      var x5 = FloatVector.broadcast(LANES, a[offset + 5]);
      s5a = x5.fma(ya, s5a);
      s5b = x5.fma(yb, s5b);
      var x6 = FloatVector.broadcast(LANES, a[offset + 6]);
      s6a = x6.fma(ya, s6a);
      s6b = x6.fma(yb, s6b);
      var x7 = FloatVector.broadcast(LANES, a[offset + 7]);
      s7a = x7.fma(ya, s7a);
      s7b = x7.fma(yb, s7b);
      var x8 = FloatVector.broadcast(LANES, a[offset + 8]);
      s8a = x8.fma(ya, s8a);
      s8b = x8.fma(yb, s8b);
      var x9 = FloatVector.broadcast(LANES, a[offset + 9]);
      s9a = x9.fma(ya, s9a);
      s9b = x9.fma(yb, s9b);
      var x10 = FloatVector.broadcast(LANES, a[offset + 10]);
      s10a = x10.fma(ya, s10a);
      s10b = x10.fma(yb, s10b);
      var x11 = FloatVector.broadcast(LANES, a[offset + 11]);
      s11a = x11.fma(ya, s11a);
      s11b = x11.fma(yb, s11b);
    }
    s0a.intoArray(c, c0);
    s0b.intoArray(c, c0 + WIDTH);
    s1a.intoArray(c, c1);
    s1b.intoArray(c, c1 + WIDTH);
    s2a.intoArray(c, c2);
    s2b.intoArray(c, c2 + WIDTH);
    s3a.intoArray(c, c3);
    s3b.intoArray(c, c3 + WIDTH);
    s4a.intoArray(c, c4);
    s4b.intoArray(c, c4 + WIDTH);
    s5a.intoArray(c, c5);
    s5b.intoArray(c, c5 + WIDTH);
    s6a.intoArray(c, c6);
    s6b.intoArray(c, c6 + WIDTH);
    s7a.intoArray(c, c7);
    s7b.intoArray(c, c7 + WIDTH);
    s8a.intoArray(c, c8);
    s8b.intoArray(c, c8 + WIDTH);
    s9a.intoArray(c, c9);
    s9b.intoArray(c, c9 + WIDTH);
    s10a.intoArray(c, c10);
    s10b.intoArray(c, c10 + WIDTH);
    s11a.intoArray(c, c11);
    s11b.intoArray(c, c11 + WIDTH);
  }

  private static void turned4(
      int k, float[] a, int a0, float[] b, int b0, float[] c, int c0, int stride, boolean add) {
    int c1 = c0 + stride;
    int c2 = c1 + stride;
    int c3 = c2 + stride;
    var s0a = add ? FloatVector.fromArray(LANES, c, c0) : FloatVector.zero(LANES);
    var s0b = add ? FloatVector.fromArray(LANES, c, c0 + WIDTH) : FloatVector.zero(LANES);
    var s1a = add ? FloatVector.fromArray(LANES, c, c1) : FloatVector.zero(LANES);
    var s1b = add ? FloatVector.fromArray(LANES, c, c1 + WIDTH) : FloatVector.zero(LANES);
    var s2a = add ? FloatVector.fromArray(LANES, c, c2) : FloatVector.zero(LANES);
    var s2b = add ? FloatVector.fromArray(LANES, c, c2 + WIDTH) : FloatVector.zero(LANES);
    var s3a = add ? FloatVector.fromArray(LANES, c, c3) : FloatVector.zero(LANES);
    var s3b = add ? FloatVector.fromArray(LANES, c, c3 + WIDTH) : FloatVector.zero(LANES);
    for (int i = 0; i < k; i++) {
      int offset = a0 + i * STRIDE;
      var ya = FloatVector.fromArray(LANES, b, b0 + i * WIDE);
      var yb = FloatVector.fromArray(LANES, b, b0 + i * WIDE + WIDTH);
      var x0 = FloatVector.broadcast(LANES, a[offset]);
      s0a = x0.fma(ya, s0a);
      s0b = x0.fma(yb, s0b);
      var x1 = FloatVector.broadcast(LANES, a[offset + 1]);
      s1a = x1.fma(ya, s1a);
      s1b = x1.fma(yb, s1b);
      var x2 = FloatVector.broadcast(LANES, a[offset + 2]);
      s2a = x2.fma(ya, s2a);
      s2b = x2.fma(yb, s2b);
      var x3 = FloatVector.broadcast(LANES, a[offset + 3]);
      s3a = x3.fma(ya, s3a);
      s3b = x3.fma(yb, s3b);
    }
    s0a.intoArray(c, c0);
    s0b.intoArray(c, c0 + WIDTH);
    s1a.intoArray(c, c1);
    s1b.intoArray(c, c1 + WIDTH);
    s2a.intoArray(c, c2);
    s2b.intoArray(c, c2 + WIDTH);
    s3a.intoArray(c, c3);
    s3b.intoArray(c, c3 + WIDTH);
  }
}
