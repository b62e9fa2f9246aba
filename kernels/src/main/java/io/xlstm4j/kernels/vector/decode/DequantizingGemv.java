package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// One row times [StoredRows], which are widened in registers and never written: each is used by
/// few rows, mostly by the one token of one sequence.
///
/// The four outputs of a tile are written out, since a vector that a method gives may end up on the
/// heap. The sums have the order and so the bits of [VectorGemvKernel] on widened rows, which is
/// the reference implementation.
final class DequantizingGemv {
  /// Outputs at a time.
  static final int TILE = VectorGemvKernel.TILE;

  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();

  /// As many lanes as [#LANES]; of bytes at least 8, the fewest there are.
  static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, VectorShape.forBitSize(Math.max(64, WIDTH * Short.SIZE)));

  static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, WIDTH * Byte.SIZE)));

  /// Returns whether [#multiply] can do it: rows of whole vectors, groups of whole vectors.
  static boolean takes(WeightMatrix w) {
    if (w.columns() % WIDTH != 0) {
      return false;
    }
    return switch (w.type()) {
      case BF16 -> SHORTS.length() == WIDTH;
      case INT8 -> BYTES.length() == WIDTH && hasGroupsOfVectors(w);
      case F16 -> false; // for which the Vector API has no widening
      case F32 -> false; // which needs none
    };
  }

  private static boolean hasGroupsOfVectors(WeightMatrix w) {
    return w.groups() == 1 || (Integer.bitCount(w.group()) == 1 && w.group() >= WIDTH);
  }

  /// Element i of a row has scale number `i >> shift` of the row.
  static int shift(WeightMatrix w) {
    return w.groups() == 1 ? 31 : Integer.numberOfTrailingZeros(w.group());
  }

  /// `y[row, o] = Σ_i x[row, i] W[o, i]` for one row.
  ///
  /// @param w whose rows are stored
  /// @param outputs as many as are stored, a multiple of [#TILE]
  /// @param x `(rows, columns)`
  /// @param y `(rows, outputs)`, written
  /// @param sums at least `GemvKernel.SCRATCH` floats
  void multiply(
      WeightMatrix w, StoredRows stored, int outputs, float[] x, int row, float[] y, float[] sums) {
    int columns = w.columns();
    int x0 = row * columns;
    int groups = w.groups();
    int shift = shift(w);
    boolean scaled = w.type() == WeightType.INT8;
    for (int output = 0; output < outputs; output += TILE) {
      if (scaled) {
        int offset = output * groups;
        int8(
            stored.bytes,
            output * columns,
            columns,
            stored.scales,
            offset,
            groups,
            shift,
            x,
            x0,
            sums);
      } else {
        bfloat16(stored.shorts, output * columns, columns, x, x0, sums);
      }
      VectorGemvKernel.store(sums, 1, y, row * outputs + output, outputs, 1);
    }
  }

  private static void bfloat16(short[] w, int w0, int columns, float[] x, int x0, float[] sums) {
    int w1 = w0 + columns;
    int w2 = w1 + columns;
    int w3 = w2 + columns;
    var s0 = FloatVector.zero(LANES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (int i = 0; i < columns; i += WIDTH) {
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      s0 =
          a.fma(
              ((IntVector)
                      ShortVector.fromArray(SHORTS, w, w0 + i)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s0);
      s1 =
          a.fma(
              ((IntVector)
                      ShortVector.fromArray(SHORTS, w, w1 + i)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s1);
      s2 =
          a.fma(
              ((IntVector)
                      ShortVector.fromArray(SHORTS, w, w2 + i)
                          .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
                  .lanewise(VectorOperators.LSHL, 16)
                  .reinterpretAsFloats(),
              s2);
      s3 =
          a.fma(
              ((IntVector)
                      ShortVector.fromArray(SHORTS, w, w3 + i)
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

  /// @param shift element i of a row has scale number `i >> shift` of the row
  private static void int8(
      byte[] w,
      int w0,
      int columns,
      float[] scales,
      int scale0,
      int groups,
      int shift,
      float[] x,
      int x0,
      float[] sums) {
    int w1 = w0 + columns;
    int w2 = w1 + columns;
    int w3 = w2 + columns;
    var s0 = FloatVector.zero(LANES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (int i = 0; i < columns; i += WIDTH) {
      var a = FloatVector.fromArray(LANES, x, x0 + i);
      int scale = scale0 + (i >> shift);
      s0 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromArray(BYTES, w, w0 + i)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(scales[scale]),
              s0);
      s1 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromArray(BYTES, w, w1 + i)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(scales[scale + groups]),
              s1);
      s2 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromArray(BYTES, w, w2 + i)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(scales[scale + 2 * groups]),
              s2);
      s3 =
          a.fma(
              ((FloatVector)
                      ByteVector.fromArray(BYTES, w, w3 + i)
                          .convertShape(VectorOperators.B2F, LANES, 0))
                  .mul(scales[scale + 3 * groups]),
              s3);
    }
    s0.intoArray(sums, 0);
    s1.intoArray(sums, WIDTH);
    s2.intoArray(sums, 2 * WIDTH);
    s3.intoArray(sums, 3 * WIDTH);
  }
}
