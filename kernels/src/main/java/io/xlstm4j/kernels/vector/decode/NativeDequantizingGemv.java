package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// [DequantizingGemv], its reference implementation, on native memory at its address, with the same
/// bits: the processor fetches one line while it widens and multiplies another. As in [NativeGemv],
/// nothing is checked here, and the outputs of a tile are a quarter of the outputs apart.
final class NativeDequantizingGemv {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Short> SHORTS = DequantizingGemv.SHORTS;
  private static final VectorSpecies<Byte> BYTES = DequantizingGemv.BYTES;
  private static final int WIDTH = LANES.length();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final ValueLayout.OfFloat SCALE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private NativeDequantizingGemv() {}

  /// Returns whether [#multiply] can do it.
  static boolean takes(WeightMatrix w) {
    @Nullable MemorySegment scales = w.scales();
    return NativeGemv.isAvailable()
        && w.data().isNative()
        && (scales == null || scales.isNative())
        && DequantizingGemv.takes(w);
  }

  /// `y[row, o] = Σ_i x[row, i] W[first + o, i]` for one row.
  ///
  /// @param outputs a multiple of [DequantizingGemv#TILE]
  /// @param x `(rows, columns)`
  /// @param y `(rows, outputs)`, written
  /// @param sums at least `GemvKernel.SCRATCH` floats
  static void multiply(
      WeightMatrix w, int first, int outputs, float[] x, int row, float[] y, float[] sums) {
    int columns = w.columns();
    int x0 = row * columns;
    long wRow = (long) columns * w.type().bytes();
    long data = w.data().address() + first * wRow;
    @Nullable MemorySegment scales = w.scales();
    int shift = DequantizingGemv.shift(w);
    long scaleRow = (long) w.groups() * Float.BYTES;
    int quarter = outputs / DequantizingGemv.TILE;
    for (int output = 0; output < quarter; output++) {
      if (scales == null) {
        bfloat16(data + output * wRow, quarter * wRow, columns, x, x0, sums);
      } else {
        long scale = scales.address() + (first + output) * scaleRow;
        long apart = quarter * scaleRow;
        int8(data + output * wRow, quarter * wRow, columns, scale, apart, shift, x, x0, sums);
      }
      VectorGemvKernel.store(sums, 1, y, row * outputs + output, outputs, quarter);
    }
  }

  /// `y[r, o] = Σ_i x[r, i] W[first + o, i]`, where [NativeGemv#takesFew].
  ///
  /// The first four rows widen W in registers, while the processor fetches what comes next, and
  /// leave it for the others.
  ///
  /// @param rows at least [NativeGemv#FEW]
  /// @param outputs a multiple of [DequantizingGemv#TILE]
  /// @param wide address of scratch, `(TILE, columns)`
  /// @param x address of `(rows, columns)`
  /// @param xRow bytes from one row of x to the next
  /// @param y `(rows, outputs)`, written
  static void multiplyFew(
      WeightMatrix w,
      int first,
      int rows,
      int outputs,
      long wide,
      long x,
      long xRow,
      float[] y,
      float[] sums) {
    int columns = w.columns();
    long wRow = (long) columns * w.type().bytes();
    long data = w.data().address() + first * wRow;
    @Nullable MemorySegment scales = w.scales();
    int shift = DequantizingGemv.shift(w);
    long scaleRow = (long) w.groups() * Float.BYTES;
    int few = NativeGemv.FEW;
    long wideRow = (long) columns * Float.BYTES;
    int quarter = outputs / DequantizingGemv.TILE;
    for (int output = 0; output < quarter; output++) {
      long offset = data + output * wRow;
      if (scales == null) {
        bfloat16(offset, quarter * wRow, columns, wide, x, xRow, sums);
      } else {
        long scale = scales.address() + (first + output) * scaleRow;
        int8(
            offset, quarter * wRow, columns, scale, quarter * scaleRow, shift, wide, x, xRow, sums);
      }
      VectorGemvKernel.store(sums, few, y, output, outputs, quarter);
      for (int row = few; row < rows; row += few) {
        int from = Math.min(row, rows - few); // the last tile may compute rows again
        NativeGemv.tile4x4(wide, wideRow, x + from * xRow, xRow, columns, sums);
        VectorGemvKernel.store(sums, few, y, from * outputs + output, outputs, quarter);
      }
    }
  }

  /// @param rows address of the first output's weights
  /// @param row bytes from there to those of the next output
  private static void bfloat16(long rows, long row, int columns, float[] x, int x0, float[] sums) {
    long w0 = rows & NativeFloats.ADDRESSES;
    long w1 = (w0 + row) & NativeFloats.ADDRESSES;
    long w2 = (w1 + row) & NativeFloats.ADDRESSES;
    long w3 = (w2 + row) & NativeFloats.ADDRESSES;
    var s0 = FloatVector.zero(LANES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (int i = 0; i < columns; i += WIDTH) {
      long offset = (long) i * Short.BYTES;
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      s0 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w0 + offset, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s0);
      s1 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w1 + offset, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s1);
      s2 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w2 + offset, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s2);
      s3 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w3 + offset, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s3);
    }
    s0.intoArray(sums, 0);
    s1.intoArray(sums, WIDTH);
    s2.intoArray(sums, 2 * WIDTH);
    s3.intoArray(sums, 3 * WIDTH);
  }

  /// @param scales address of the first output's scales
  /// @param scaleRow bytes from there to those of the next output
  /// @param shift element i of a row has scale number `i >> shift` of the row
  private static void int8(
      long rows,
      long row,
      int columns,
      long scales,
      long scaleRow,
      int shift,
      float[] x,
      int x0,
      float[] sums) {
    long w0 = rows & NativeFloats.ADDRESSES;
    long w1 = (w0 + row) & NativeFloats.ADDRESSES;
    long w2 = (w1 + row) & NativeFloats.ADDRESSES;
    long w3 = (w2 + row) & NativeFloats.ADDRESSES;
    long c0 = scales & NativeFloats.ADDRESSES;
    long c1 = (c0 + scaleRow) & NativeFloats.ADDRESSES;
    long c2 = (c1 + scaleRow) & NativeFloats.ADDRESSES;
    long c3 = (c2 + scaleRow) & NativeFloats.ADDRESSES;
    var s0 = FloatVector.zero(LANES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (int i = 0; i < columns; i += WIDTH) {
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      long scale = (long) (i >> shift) * Float.BYTES;
      s0 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromMemorySegment(BYTES, MEMORY, w0 + i, ORDER)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(MEMORY.get(SCALE, c0 + scale)),
              s0);
      s1 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromMemorySegment(BYTES, MEMORY, w1 + i, ORDER)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(MEMORY.get(SCALE, c1 + scale)),
              s1);
      s2 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromMemorySegment(BYTES, MEMORY, w2 + i, ORDER)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(MEMORY.get(SCALE, c2 + scale)),
              s2);
      s3 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromMemorySegment(BYTES, MEMORY, w3 + i, ORDER)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(MEMORY.get(SCALE, c3 + scale)),
              s3);
    }
    s0.intoArray(sums, 0);
    s1.intoArray(sums, WIDTH);
    s2.intoArray(sums, 2 * WIDTH);
    s3.intoArray(sums, 3 * WIDTH);
  }

  /// Four rows of x; W is also written to `wide`.
  private static void bfloat16(
      long rows, long row, int columns, long wide, long xRows, long xRow, float[] sums) {
    long w0 = rows & NativeFloats.ADDRESSES;
    long w1 = (w0 + row) & NativeFloats.ADDRESSES;
    long w2 = (w1 + row) & NativeFloats.ADDRESSES;
    long w3 = (w2 + row) & NativeFloats.ADDRESSES;
    long wideRow = (long) columns * Float.BYTES;
    long to0 = wide & NativeFloats.ADDRESSES;
    long to1 = (to0 + wideRow) & NativeFloats.ADDRESSES;
    long to2 = (to1 + wideRow) & NativeFloats.ADDRESSES;
    long to3 = (to2 + wideRow) & NativeFloats.ADDRESSES;
    long x0 = xRows & NativeFloats.ADDRESSES;
    long x1 = (x0 + xRow) & NativeFloats.ADDRESSES;
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
      long stored = (long) i * Short.BYTES;
      var b0 =
          ((IntVector)
                  ShortVector.fromMemorySegment(SHORTS, MEMORY, w0 + stored, ORDER)
                      .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      var b1 =
          ((IntVector)
                  ShortVector.fromMemorySegment(SHORTS, MEMORY, w1 + stored, ORDER)
                      .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      var b2 =
          ((IntVector)
                  ShortVector.fromMemorySegment(SHORTS, MEMORY, w2 + stored, ORDER)
                      .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      var b3 =
          ((IntVector)
                  ShortVector.fromMemorySegment(SHORTS, MEMORY, w3 + stored, ORDER)
                      .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
              .lanewise(VectorOperators.LSHL, 16)
              .reinterpretAsFloats();
      b0.intoMemorySegment(MEMORY, to0 + offset, ORDER);
      b1.intoMemorySegment(MEMORY, to1 + offset, ORDER);
      b2.intoMemorySegment(MEMORY, to2 + offset, ORDER);
      b3.intoMemorySegment(MEMORY, to3 + offset, ORDER);
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, x0 + offset, ORDER);
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

  /// Four rows of x; W is also written to `wide`.
  private static void int8(
      long rows,
      long row,
      int columns,
      long scales,
      long scaleRow,
      int shift,
      long wide,
      long xRows,
      long xRow,
      float[] sums) {
    long w0 = rows & NativeFloats.ADDRESSES;
    long w1 = (w0 + row) & NativeFloats.ADDRESSES;
    long w2 = (w1 + row) & NativeFloats.ADDRESSES;
    long w3 = (w2 + row) & NativeFloats.ADDRESSES;
    long c0 = scales & NativeFloats.ADDRESSES;
    long c1 = (c0 + scaleRow) & NativeFloats.ADDRESSES;
    long c2 = (c1 + scaleRow) & NativeFloats.ADDRESSES;
    long c3 = (c2 + scaleRow) & NativeFloats.ADDRESSES;
    long wideRow = (long) columns * Float.BYTES;
    long to0 = wide & NativeFloats.ADDRESSES;
    long to1 = (to0 + wideRow) & NativeFloats.ADDRESSES;
    long to2 = (to1 + wideRow) & NativeFloats.ADDRESSES;
    long to3 = (to2 + wideRow) & NativeFloats.ADDRESSES;
    long x0 = xRows & NativeFloats.ADDRESSES;
    long x1 = (x0 + xRow) & NativeFloats.ADDRESSES;
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
      long scale = (long) (i >> shift) * Float.BYTES;
      var b0 =
          ((FloatVector)
                  ByteVector.fromMemorySegment(BYTES, MEMORY, w0 + i, ORDER)
                      .convertShape(VectorOperators.B2F, LANES, 0))
              .mul(MEMORY.get(SCALE, c0 + scale));
      var b1 =
          ((FloatVector)
                  ByteVector.fromMemorySegment(BYTES, MEMORY, w1 + i, ORDER)
                      .convertShape(VectorOperators.B2F, LANES, 0))
              .mul(MEMORY.get(SCALE, c1 + scale));
      var b2 =
          ((FloatVector)
                  ByteVector.fromMemorySegment(BYTES, MEMORY, w2 + i, ORDER)
                      .convertShape(VectorOperators.B2F, LANES, 0))
              .mul(MEMORY.get(SCALE, c2 + scale));
      var b3 =
          ((FloatVector)
                  ByteVector.fromMemorySegment(BYTES, MEMORY, w3 + i, ORDER)
                      .convertShape(VectorOperators.B2F, LANES, 0))
              .mul(MEMORY.get(SCALE, c3 + scale));
      b0.intoMemorySegment(MEMORY, to0 + offset, ORDER);
      b1.intoMemorySegment(MEMORY, to1 + offset, ORDER);
      b2.intoMemorySegment(MEMORY, to2 + offset, ORDER);
      b3.intoMemorySegment(MEMORY, to3 + offset, ORDER);
      var a0 = FloatVector.fromMemorySegment(LANES, MEMORY, x0 + offset, ORDER);
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
