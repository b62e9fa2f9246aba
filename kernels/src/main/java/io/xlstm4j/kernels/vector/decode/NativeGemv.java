package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.vector.math.NativeFloats;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// [VectorGemvKernel], its reference implementation, on native memory at its address, with the same
/// bits. Nothing is checked here: the caller knows that the memory is there and stays.
///
/// One row reads W where it lies, so that the processor fetches one line while it multiplies
/// another. The four outputs of a tile are a quarter of the outputs apart: the processor reads
/// ahead on one line of addresses in a page of memory, and rows beside each other share pages.
/// Several rows read a vector of 64 bytes in half a cycle where it begins at a line of the cache;
/// in an array, which begins anywhere, most lie in two lines and take two cycles.
final class NativeGemv {
  /// Outputs at a time of W where it lies, which must have a multiple of it.
  static final int TILE = VectorGemvKernel.TILE;

  /// The fewest rows that [#multiplyFew] takes.
  static final int FEW = 4;

  /// Where rows should begin, in bytes.
  static final int LINE = 64;

  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private NativeGemv() {}

  /// Returns whether memory can be read here, and as files have it.
  static boolean isAvailable() {
    return NativeFloats.areDirect() && ORDER == ByteOrder.LITTLE_ENDIAN;
  }

  /// Returns whether [#multiplyFew] can do it: its tiles need 32 registers of 16 floats.
  static boolean takesFew() {
    return isAvailable() && WIDTH == 16;
  }

  /// `y[row, o] = Σ_i x[row, i] W[o, i]` for one row.
  ///
  /// @param w address of `(outputs, columns)`, at any alignment
  /// @param columns whole vectors
  /// @param x `(rows, columns)`
  /// @param y `(rows, outputs)`, written
  static void multiplyOne(
      int outputs, int columns, long w, float[] x, int row, float[] y, float[] sums) {
    long wRow = (long) columns * Float.BYTES;
    int quarter = outputs / TILE;
    for (int output = 0; output < quarter; output++) {
      tile1x4(w + output * wRow, quarter * wRow, x, row * columns, columns, sums);
      VectorGemvKernel.store(sums, 1, y, row * outputs + output, outputs, quarter);
    }
  }

  /// `y[r, o] = Σ_i x[r, i] W[o, i]` for so few rows that W is read where it lies.
  ///
  /// @param rows at least [#FEW]
  /// @param columns whole vectors
  /// @param w address of `(outputs, columns)`, at any alignment
  /// @param x address of `(rows, columns)`
  /// @param xRow bytes from one row of x to the next
  /// @param y `(rows, outputs)`, written
  static void multiplyFew(
      int rows, int outputs, int columns, long w, long x, long xRow, float[] y, float[] sums) {
    long wRow = (long) columns * Float.BYTES;
    int quarter = outputs / TILE;
    for (int output = 0; output < quarter; output++) {
      for (int row = 0; row < rows; row += FEW) {
        int from = Math.min(row, rows - FEW); // the last tile may compute rows again
        tile4x4(w + output * wRow, quarter * wRow, x + from * xRow, xRow, columns, sums);
        VectorGemvKernel.store(sums, FEW, y, from * outputs + output, outputs, quarter);
      }
    }
  }

  /// Writes sums to memory, with a bias and on top of what is there.
  ///
  /// @param count whole vectors
  /// @param bias address, or 0 for none
  /// @param to address
  static void write(float[] sums, int start, int count, long bias, boolean add, long to) {
    long b = bias & NativeFloats.ADDRESSES;
    long y = to & NativeFloats.ADDRESSES;
    for (int i = 0; i < count; i += WIDTH) {
      long offset = (long) i * Float.BYTES;
      var sum = FloatVector.fromArray(LANES, sums, start + i);
      if (bias != 0) {
        sum = sum.add(FloatVector.fromMemorySegment(LANES, MEMORY, b + offset, ORDER));
      }
      if (add) {
        sum = sum.add(FloatVector.fromMemorySegment(LANES, MEMORY, y + offset, ORDER));
      }
      sum.intoMemorySegment(MEMORY, y + offset, ORDER);
    }
  }

  private static void tile1x4(
      long outputs, long wRow, float[] x, int x0, int columns, float[] sums) {
    long w = outputs & NativeFloats.ADDRESSES;
    long w1 = (w + wRow) & NativeFloats.ADDRESSES;
    long w2 = (w1 + wRow) & NativeFloats.ADDRESSES;
    long w3 = (w2 + wRow) & NativeFloats.ADDRESSES;
    var s0 = FloatVector.zero(LANES);
    var s1 = FloatVector.zero(LANES);
    var s2 = FloatVector.zero(LANES);
    var s3 = FloatVector.zero(LANES);
    for (int i = 0; i < columns; i += WIDTH) {
      long offset = (long) i * Float.BYTES;
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      s0 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w + offset, ORDER), s0);
      s1 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w1 + offset, ORDER), s1);
      s2 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w2 + offset, ORDER), s2);
      s3 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w3 + offset, ORDER), s3);
    }
    s0.intoArray(sums, 0);
    s1.intoArray(sums, WIDTH);
    s2.intoArray(sums, 2 * WIDTH);
    s3.intoArray(sums, 3 * WIDTH);
  }

  static void tile4x4(long outputs, long wRow, long rows, long xRow, int columns, float[] sums) {
    long w = outputs & NativeFloats.ADDRESSES;
    long w1 = (w + wRow) & NativeFloats.ADDRESSES;
    long w2 = (w1 + wRow) & NativeFloats.ADDRESSES;
    long w3 = (w2 + wRow) & NativeFloats.ADDRESSES;
    long x = rows & NativeFloats.ADDRESSES;
    long x1 = (x + xRow) & NativeFloats.ADDRESSES;
    long x2 = (x1 + xRow) & NativeFloats.ADDRESSES;
    long x3 = (x2 + xRow) & NativeFloats.ADDRESSES;
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
    for (int i = 0; i < columns; i += WIDTH) {
      long offset = (long) i * Float.BYTES;
      var b0 = FloatVector.fromMemorySegment(LANES, MEMORY, w + offset, ORDER);
      var b1 = FloatVector.fromMemorySegment(LANES, MEMORY, w1 + offset, ORDER);
      var b2 = FloatVector.fromMemorySegment(LANES, MEMORY, w2 + offset, ORDER);
      var b3 = FloatVector.fromMemorySegment(LANES, MEMORY, w3 + offset, ORDER);
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      s02 = a0.fma(b2, s02);
      s03 = a0.fma(b3, s03);
      var a1 = FloatVector.fromMemorySegment(LANES, MEMORY, x1 + offset, ORDER);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      s12 = a1.fma(b2, s12);
      s13 = a1.fma(b3, s13);
      var a2 = FloatVector.fromMemorySegment(LANES, MEMORY, x2 + offset, ORDER);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      s22 = a2.fma(b2, s22);
      s23 = a2.fma(b3, s23);
      var a3 = FloatVector.fromMemorySegment(LANES, MEMORY, x3 + offset, ORDER);
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
}
