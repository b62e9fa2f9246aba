package io.xlstm4j.kernels;

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

/// [StoredProductKernel], its slow twin, on native memory at its address, with the same bits: the
/// processor fetches one line while it widens and multiplies another. As in [NativeRowsProduct],
/// nothing is checked here, and the outputs of a tile are a quarter of the outputs apart.
final class NativeStoredProduct {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Short> SHORTS = StoredProductKernel.SHORTS;
  private static final VectorSpecies<Byte> BYTES = StoredProductKernel.BYTES;
  private static final int WIDTH = LANES.length();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final ValueLayout.OfFloat SCALE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private NativeStoredProduct() {}

  /// Whether [#multiply] can do it.
  static boolean takes(WeightMatrix w) {
    @Nullable MemorySegment scales = w.scales();
    return NativeRowsProduct.isAvailable()
        && w.data().isNative()
        && (scales == null || scales.isNative())
        && StoredProductKernel.takes(w);
  }

  /// `y[row, o] = Σ_i x[row, i] W[first + o, i]` for one row.
  ///
  /// @param outputs a multiple of [StoredProductKernel#TILE]
  /// @param x `(rows, columns)`
  /// @param y `(rows, outputs)`, written
  /// @param sums at least [RowsProductKernel#SCRATCH] floats
  static void multiply(
      WeightMatrix w, int first, int outputs, float[] x, int row, float[] y, float[] sums) {
    int columns = w.columns();
    int x0 = row * columns;
    long wRow = (long) columns * w.type().bytes();
    long data = w.data().address() + first * wRow;
    @Nullable MemorySegment scales = w.scales();
    int shift = StoredProductKernel.shift(w);
    long scaleRow = (long) w.groups() * Float.BYTES;
    int quarter = outputs / StoredProductKernel.TILE;
    for (int output = 0; output < quarter; output++) {
      if (scales == null) {
        bfloat16(data + output * wRow, quarter * wRow, columns, x, x0, sums);
      } else {
        long scale = scales.address() + (first + output) * scaleRow;
        long apart = quarter * scaleRow;
        int8(data + output * wRow, quarter * wRow, columns, scale, apart, shift, x, x0, sums);
      }
      VectorRowsProductKernel.store(sums, 1, y, row * outputs + output, outputs, quarter);
    }
  }

  /// @param rows address of the first output's weights
  /// @param row bytes from there to those of the next output
  private static void bfloat16(long rows, long row, int columns, float[] x, int x0, float[] sums) {
    long w0 = rows & NativeRowsProduct.ADDRESSES;
    long w1 = (w0 + row) & NativeRowsProduct.ADDRESSES;
    long w2 = (w1 + row) & NativeRowsProduct.ADDRESSES;
    long w3 = (w2 + row) & NativeRowsProduct.ADDRESSES;
    var s0 = FloatVector.zero(LANES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (int i = 0; i < columns; i += WIDTH) {
      long at = (long) i * Short.BYTES;
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      s0 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w0 + at, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s0);
      s1 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w1 + at, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s1);
      s2 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w2 + at, ORDER)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s2);
      s3 =
          a.fma(
              ((IntVector)
                      ShortVector.fromMemorySegment(SHORTS, MEMORY, w3 + at, ORDER)
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
    long w0 = rows & NativeRowsProduct.ADDRESSES;
    long w1 = (w0 + row) & NativeRowsProduct.ADDRESSES;
    long w2 = (w1 + row) & NativeRowsProduct.ADDRESSES;
    long w3 = (w2 + row) & NativeRowsProduct.ADDRESSES;
    long c0 = scales & NativeRowsProduct.ADDRESSES;
    long c1 = (c0 + scaleRow) & NativeRowsProduct.ADDRESSES;
    long c2 = (c1 + scaleRow) & NativeRowsProduct.ADDRESSES;
    long c3 = (c2 + scaleRow) & NativeRowsProduct.ADDRESSES;
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
}
