package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// [VectorRowsProductKernel], its slow twin, on native memory at its address, with the same bits.
/// Nothing is checked here: the caller knows that the memory is there and stays.
///
/// One row reads W where it lies, so that the processor fetches one line while it multiplies
/// another. The four outputs of a tile are a quarter of the outputs apart: the processor reads
/// ahead on one line of addresses in a page of memory, and rows beside each other share pages. Many
/// rows read a vector of 64 bytes in half a cycle where it begins at a line of the cache; in an
/// array, which begins anywhere, most lie in two lines and take two cycles.
final class NativeRowsProduct {
  /// Outputs at a time of W where it lies, which must have a multiple of it.
  static final int TILE = VectorRowsProductKernel.TILE;

  /// The fewest rows that [#multiplyFew] takes.
  static final int FEW = 4;

  /// The fewest rows that [#multiply] takes.
  static final int FEWEST = 3;

  /// Outputs of a panel of packed W.
  static final int PANEL = 8;

  /// Where rows should begin, in bytes.
  static final int LINE = 64;

  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  private static final long VECTOR = (long) WIDTH * Float.BYTES;
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  /// Every address is at most that. The compiler does not know it and would check each vector of
  /// each tile against the end of memory; so it does.
  static final long ADDRESSES = (1L << 56) - 1;

  /// Bytes of x that leave room in the first cache for the rows of W that go by.
  private static final int NEAR_BYTES = 12 << 10;

  private static final VectorShuffle<Float> BY_4 = rotation(4);
  private static final VectorShuffle<Float> BACK_BY_4 = rotation(-4);
  private static final VectorShuffle<Float> BY_2 = rotation(2);
  private static final VectorShuffle<Float> BACK_BY_2 = rotation(-2);
  private static final VectorShuffle<Float> BY_1 = rotation(1);
  private static final VectorShuffle<Float> EVENS = VectorShuffle.iota(LANES, 0, 2, true);
  private static final VectorMask<Float> HALF = lanes(8);
  private static final VectorMask<Float> ODD_QUARTERS = lanes(4);
  private static final VectorMask<Float> ODD_EIGHTHS = lanes(2);

  private NativeRowsProduct() {}

  /// Lane i takes lane i + `by`, around.
  private static VectorShuffle<Float> rotation(int by) {
    return VectorShuffle.iota(LANES, by, 1, true);
  }

  /// The lanes whose number has a bit.
  private static VectorMask<Float> lanes(int bit) {
    boolean[] set = new boolean[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      set[i] = (i & bit) != 0;
    }
    return VectorMask.fromArray(LANES, set, 0);
  }

  /// Whether memory can be read here, and as files have it.
  static boolean isAvailable() {
    return NativeFloats.areDirect() && ORDER == ByteOrder.LITTLE_ENDIAN;
  }

  /// Whether [#multiply] can do it: its tiles need 32 registers of 16 floats.
  static boolean takesMany() {
    return isAvailable() && WIDTH == 16;
  }

  /// `y[o] = Σ_i x[i] W[o, i]`
  ///
  /// @param w address of `(outputs, columns)`, at any alignment
  /// @param columns whole vectors
  /// @param x `(columns)`
  /// @param y `(outputs)`, written
  static void multiplyOne(int outputs, int columns, long w, float[] x, float[] y, float[] sums) {
    long row = (long) columns * Float.BYTES;
    int quarter = outputs / TILE;
    for (int output = 0; output < quarter; output++) {
      tile1x4(w + output * row, quarter * row, x, columns, sums);
      VectorRowsProductKernel.store(sums, 1, y, output, outputs, quarter);
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
        VectorRowsProductKernel.store(sums, FEW, y, from * outputs + output, outputs, quarter);
      }
    }
  }

  /// Packs rows of W by panels: `(outputs / 8, columns / lanes, 8, lanes)`.
  ///
  /// @param outputs as many as there are; what is missing in the last panel is left as it is
  /// @param w address of `(outputs, columns)`, at any alignment
  /// @param to address
  static void pack(int outputs, int columns, long w, long to) {
    long wRow = (long) columns * Float.BYTES;
    for (int output = 0; output < outputs; output++) {
      long from = w + output * wRow;
      long at = packed(to, output, columns);
      for (int i = 0; i < columns; i += WIDTH) {
        FloatVector.fromMemorySegment(LANES, MEMORY, from + (long) i * Float.BYTES, ORDER)
            .intoMemorySegment(MEMORY, at + (long) i * PANEL * Float.BYTES, ORDER);
      }
    }
  }

  /// The same from an array.
  static void pack(int outputs, int columns, float[] w, long to) {
    for (int output = 0; output < outputs; output++) {
      int from = output * columns;
      long at = packed(to, output, columns);
      for (int i = 0; i < columns; i += WIDTH) {
        FloatVector.fromArray(LANES, w, from + i)
            .intoMemorySegment(MEMORY, at + (long) i * PANEL * Float.BYTES, ORDER);
      }
    }
  }

  /// Where a row of W begins when it is packed.
  private static long packed(long to, int output, int columns) {
    long panel = output / PANEL;
    return to + panel * PANEL * columns * Float.BYTES + (output % PANEL) * VECTOR;
  }

  /// `y[r, o] = Σ_i x[r, i] W[o, i]`
  ///
  /// Tiles are 3 rows by 8 outputs, whose sums take 24 of 32 registers. W is packed and x is not,
  /// so four addresses are all that a tile needs; with one for each row of both, the compiler keeps
  /// them in memory and takes half as long again.
  ///
  /// @param rows at least [#FEWEST]
  /// @param outputs a multiple of [#PANEL]
  /// @param columns whole vectors
  /// @param w address of W as [#pack] leaves it
  /// @param x address of `(rows, columns)`
  /// @param xRow bytes from one row of x to the next
  /// @param y `(rows, outputs + 8)`, written, the last 8 of a row with anything
  /// @param sums at least [RowsProductKernel#SCRATCH] floats
  static void multiply(
      int rows, int outputs, int columns, long w, long x, long xRow, float[] y, float[] sums) {
    long rowBytes = (long) columns * Float.BYTES;
    int group = (int) Math.max(1, NEAR_BYTES / (FEWEST * rowBytes)) * FEWEST;
    int stride = outputs + PANEL;
    for (int first = 0; first < rows; first += group) {
      int end = Math.min(rows, first + group);
      for (int output = 0; output < outputs; output += PANEL) {
        for (int row = first; row < end; row += FEWEST) {
          int from = Math.min(row, rows - FEWEST); // the last tile may compute rows again
          tile3x8(w + output * rowBytes, x + from * xRow, xRow, columns, sums);
          store(sums, y, from * stride + output, stride);
        }
      }
    }
  }

  /// Adds up the sums of a tile, in the order of [MlstmMath#sum], the eight of a row at a time: in
  /// halves, quarters and eighths of a vector. Reading one vector's second half and the next one's
  /// first is cheaper than turning both.
  ///
  /// @param sums `(3, 8, 16)`, of outputs 0, 4, 2, 6, 1, 5, 3, 7
  /// @param y of which 8 floats of each row are written, and 8 more with anything
  private static void store(float[] sums, float[] y, int at, int stride) {
    for (int row = 0; row < FEWEST; row++) {
      int from = row * PANEL * WIDTH;
      var a = FloatVector.fromArray(LANES, sums, from);
      var b = FloatVector.fromArray(LANES, sums, from + WIDTH);
      var s04 = a.blend(b, HALF).add(FloatVector.fromArray(LANES, sums, from + WIDTH / 2));
      a = FloatVector.fromArray(LANES, sums, from + 2 * WIDTH);
      b = FloatVector.fromArray(LANES, sums, from + 3 * WIDTH);
      var s26 = a.blend(b, HALF).add(FloatVector.fromArray(LANES, sums, from + 5 * WIDTH / 2));
      a = FloatVector.fromArray(LANES, sums, from + 4 * WIDTH);
      b = FloatVector.fromArray(LANES, sums, from + 5 * WIDTH);
      var s15 = a.blend(b, HALF).add(FloatVector.fromArray(LANES, sums, from + 9 * WIDTH / 2));
      a = FloatVector.fromArray(LANES, sums, from + 6 * WIDTH);
      b = FloatVector.fromArray(LANES, sums, from + 7 * WIDTH);
      var s37 = a.blend(b, HALF).add(FloatVector.fromArray(LANES, sums, from + 13 * WIDTH / 2));
      var s0246 =
          s04.blend(s26.rearrange(BACK_BY_4), ODD_QUARTERS)
              .add(s04.rearrange(BY_4).blend(s26, ODD_QUARTERS));
      var s1357 =
          s15.blend(s37.rearrange(BACK_BY_4), ODD_QUARTERS)
              .add(s15.rearrange(BY_4).blend(s37, ODD_QUARTERS));
      var all =
          s0246
              .blend(s1357.rearrange(BACK_BY_2), ODD_EIGHTHS)
              .add(s0246.rearrange(BY_2).blend(s1357, ODD_EIGHTHS));
      all.add(all.rearrange(BY_1)).rearrange(EVENS).intoArray(y, at + row * stride);
    }
  }

  /// Adds memory to an array.
  ///
  /// @param count whole vectors
  /// @param from address
  static void add(float[] to, int start, int count, long from) {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector.fromArray(LANES, to, start + i)
          .add(FloatVector.fromMemorySegment(LANES, MEMORY, from + (long) i * Float.BYTES, ORDER))
          .intoArray(to, start + i);
    }
  }

  /// Copies an array to memory.
  ///
  /// @param count whole vectors
  /// @param to address
  static void write(float[] from, int start, int count, long to) {
    for (int i = 0; i < count; i += WIDTH) {
      FloatVector.fromArray(LANES, from, start + i)
          .intoMemorySegment(MEMORY, to + (long) i * Float.BYTES, ORDER);
    }
  }

  private static void tile1x4(long outputs, long wRow, float[] x, int columns, float[] sums) {
    long w = outputs & ADDRESSES;
    long w1 = (w + wRow) & ADDRESSES;
    long w2 = (w1 + wRow) & ADDRESSES;
    long w3 = (w2 + wRow) & ADDRESSES;
    var s0 = FloatVector.zero(LANES);
    var s1 = FloatVector.zero(LANES);
    var s2 = FloatVector.zero(LANES);
    var s3 = FloatVector.zero(LANES);
    for (int i = 0; i < columns; i += WIDTH) {
      long at = (long) i * Float.BYTES;
      var a = FloatVector.fromArray(LANES, x, i);
      s0 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w + at, ORDER), s0);
      s1 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w1 + at, ORDER), s1);
      s2 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w2 + at, ORDER), s2);
      s3 = a.fma(FloatVector.fromMemorySegment(LANES, MEMORY, w3 + at, ORDER), s3);
    }
    s0.intoArray(sums, 0);
    s1.intoArray(sums, WIDTH);
    s2.intoArray(sums, 2 * WIDTH);
    s3.intoArray(sums, 3 * WIDTH);
  }

  private static void tile4x4(
      long outputs, long wRow, long rows, long xRow, int columns, float[] sums) {
    long w = outputs & ADDRESSES;
    long w1 = (w + wRow) & ADDRESSES;
    long w2 = (w1 + wRow) & ADDRESSES;
    long w3 = (w2 + wRow) & ADDRESSES;
    long x = rows & ADDRESSES;
    long x1 = (x + xRow) & ADDRESSES;
    long x2 = (x1 + xRow) & ADDRESSES;
    long x3 = (x2 + xRow) & ADDRESSES;
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
      long at = (long) i * Float.BYTES;
      var b0 = FloatVector.fromMemorySegment(LANES, MEMORY, w + at, ORDER);
      var b1 = FloatVector.fromMemorySegment(LANES, MEMORY, w1 + at, ORDER);
      var b2 = FloatVector.fromMemorySegment(LANES, MEMORY, w2 + at, ORDER);
      var b3 = FloatVector.fromMemorySegment(LANES, MEMORY, w3 + at, ORDER);
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, x + at, ORDER);
      s00 = a0.fma(b0, s00);
      s01 = a0.fma(b1, s01);
      s02 = a0.fma(b2, s02);
      s03 = a0.fma(b3, s03);
      var a1 = FloatVector.fromMemorySegment(LANES, MEMORY, x1 + at, ORDER);
      s10 = a1.fma(b0, s10);
      s11 = a1.fma(b1, s11);
      s12 = a1.fma(b2, s12);
      s13 = a1.fma(b3, s13);
      var a2 = FloatVector.fromMemorySegment(LANES, MEMORY, x2 + at, ORDER);
      s20 = a2.fma(b0, s20);
      s21 = a2.fma(b1, s21);
      s22 = a2.fma(b2, s22);
      s23 = a2.fma(b3, s23);
      var a3 = FloatVector.fromMemorySegment(LANES, MEMORY, x3 + at, ORDER);
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

  private static void tile3x8(long panels, long rows, long xRow, int columns, float[] sums) {
    long w = panels & ADDRESSES;
    long x = rows & ADDRESSES;
    long x1 = (x + xRow) & ADDRESSES;
    long x2 = (x1 + xRow) & ADDRESSES;
    var s00 = FloatVector.zero(LANES);
    var s01 = FloatVector.zero(LANES);
    var s02 = FloatVector.zero(LANES);
    var s03 = FloatVector.zero(LANES);
    var s04 = FloatVector.zero(LANES);
    var s05 = FloatVector.zero(LANES);
    var s06 = FloatVector.zero(LANES);
    var s07 = FloatVector.zero(LANES);
    var s10 = FloatVector.zero(LANES);
    var s11 = FloatVector.zero(LANES);
    var s12 = FloatVector.zero(LANES);
    var s13 = FloatVector.zero(LANES);
    var s14 = FloatVector.zero(LANES);
    var s15 = FloatVector.zero(LANES);
    var s16 = FloatVector.zero(LANES);
    var s17 = FloatVector.zero(LANES);
    var s20 = FloatVector.zero(LANES);
    var s21 = FloatVector.zero(LANES);
    var s22 = FloatVector.zero(LANES);
    var s23 = FloatVector.zero(LANES);
    var s24 = FloatVector.zero(LANES);
    var s25 = FloatVector.zero(LANES);
    var s26 = FloatVector.zero(LANES);
    var s27 = FloatVector.zero(LANES);
    for (int i = 0; i < columns; i += WIDTH) {
      long at = (long) i * Float.BYTES;
      long panel = w + at * PANEL;
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, x + at, ORDER);
      var a1 = FloatVector.fromMemorySegment(LANES, MEMORY, x1 + at, ORDER);
      var a2 = FloatVector.fromMemorySegment(LANES, MEMORY, x2 + at, ORDER);
      var b0 = FloatVector.fromMemorySegment(LANES, MEMORY, panel, ORDER);
      s00 = a0.fma(b0, s00);
      s10 = a1.fma(b0, s10);
      s20 = a2.fma(b0, s20);
      var b1 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + VECTOR, ORDER);
      s01 = a0.fma(b1, s01);
      s11 = a1.fma(b1, s11);
      s21 = a2.fma(b1, s21);
      var b2 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 2 * VECTOR, ORDER);
      s02 = a0.fma(b2, s02);
      s12 = a1.fma(b2, s12);
      s22 = a2.fma(b2, s22);
      var b3 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 3 * VECTOR, ORDER);
      s03 = a0.fma(b3, s03);
      s13 = a1.fma(b3, s13);
      s23 = a2.fma(b3, s23);
      var b4 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 4 * VECTOR, ORDER);
      s04 = a0.fma(b4, s04);
      s14 = a1.fma(b4, s14);
      s24 = a2.fma(b4, s24);
      var b5 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 5 * VECTOR, ORDER);
      s05 = a0.fma(b5, s05);
      s15 = a1.fma(b5, s15);
      s25 = a2.fma(b5, s25);
      var b6 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 6 * VECTOR, ORDER);
      s06 = a0.fma(b6, s06);
      s16 = a1.fma(b6, s16);
      s26 = a2.fma(b6, s26);
      var b7 = FloatVector.fromMemorySegment(LANES, MEMORY, panel + 7 * VECTOR, ORDER);
      s07 = a0.fma(b7, s07);
      s17 = a1.fma(b7, s17);
      s27 = a2.fma(b7, s27);
    }
    s00.intoArray(sums, 0);
    s04.intoArray(sums, WIDTH);
    s02.intoArray(sums, 2 * WIDTH);
    s06.intoArray(sums, 3 * WIDTH);
    s01.intoArray(sums, 4 * WIDTH);
    s05.intoArray(sums, 5 * WIDTH);
    s03.intoArray(sums, 6 * WIDTH);
    s07.intoArray(sums, 7 * WIDTH);
    s10.intoArray(sums, 8 * WIDTH);
    s14.intoArray(sums, 9 * WIDTH);
    s12.intoArray(sums, 10 * WIDTH);
    s16.intoArray(sums, 11 * WIDTH);
    s11.intoArray(sums, 12 * WIDTH);
    s15.intoArray(sums, 13 * WIDTH);
    s13.intoArray(sums, 14 * WIDTH);
    s17.intoArray(sums, 15 * WIDTH);
    s20.intoArray(sums, 16 * WIDTH);
    s24.intoArray(sums, 17 * WIDTH);
    s22.intoArray(sums, 18 * WIDTH);
    s26.intoArray(sums, 19 * WIDTH);
    s21.intoArray(sums, 20 * WIDTH);
    s25.intoArray(sums, 21 * WIDTH);
    s23.intoArray(sums, 22 * WIDTH);
    s27.intoArray(sums, 23 * WIDTH);
  }
}
