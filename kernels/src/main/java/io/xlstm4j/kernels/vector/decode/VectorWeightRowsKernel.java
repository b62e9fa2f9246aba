package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightRowsKernel;
import io.xlstm4j.kernels.WeightType;
import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// [WeightRowsKernel] on the Vector API; what is left of a row after the last whole vector is read
/// by the plain loops. Arrays are read in the loops themselves: a vector that a method gives may
/// end up on the heap.
public final class VectorWeightRowsKernel implements WeightRowsKernel {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;

  /// As many lanes as [#LANES]; of bytes at least 8, the fewest there are.
  private static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(
          short.class, VectorShape.forBitSize(Math.max(64, LANES.length() * Short.SIZE)));

  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(
          byte.class, VectorShape.forBitSize(Math.max(64, LANES.length() * Byte.SIZE)));

  private static final int WIDTH = LANES.length();

  @Override
  public void widen(
      WeightMatrix w, int first, int count, StoredRows stored, float[] to, int stride) {
    if (w.type() == WeightType.F32) {
      StoredRows.copy(w, first, count, to, stride);
      return;
    }
    stored.read(w, first, count);
    boolean fits = SHORTS.length() == WIDTH; // not with two lanes
    for (int row = 0; row < count; row++) {
      int from = row * w.columns();
      int done =
          switch (w.type()) {
            case BF16 -> fits ? bfloat16(stored.shorts, from, w.columns(), to, row * stride) : 0;
            case F16 -> float16(stored.shorts, from, w.columns(), to, row * stride);
            case INT8 -> int8(w, row, stored, to, row * stride);
            case F32 -> 0;
          };
      if (done < w.columns()) {
        ScalarWeightRowsKernel.widenRow(w, row, done, stored, to, row * stride);
      }
    }
  }

  private static int bfloat16(short[] data, int start, int count, float[] to, int offset) {
    int whole = LANES.loopBound(count);
    for (int i = 0; i < whole; i += WIDTH) {
      var bits =
          (IntVector)
              ShortVector.fromArray(SHORTS, data, start + i)
                  .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0);
      bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoArray(to, offset + i);
    }
    return whole;
  }

  /// The compiler has an instruction for many at once, the Vector API has no name for it.
  private static int float16(short[] data, int start, int count, float[] to, int offset) {
    for (int i = 0; i < count; i++) {
      to[offset + i] = Float.float16ToFloat(data[start + i]);
    }
    return count;
  }

  private static int int8(WeightMatrix w, int row, StoredRows stored, float[] to, int offset) {
    int shift = w.groups() == 1 ? 31 : Integer.numberOfTrailingZeros(w.group());
    if (BYTES.length() != WIDTH
        || (w.groups() > 1 && (w.group() != 1 << shift || w.group() < WIDTH))) {
      return 0; // a vector could span two groups
    }
    byte[] data = stored.bytes;
    float[] scales = stored.scales;
    int start = row * w.columns();
    int firstScale = row * w.groups();
    int done = 0;
    if (shift == 31 || w.group() >= 4 * WIDTH) {
      done = w.columns() / (4 * WIDTH) * (4 * WIDTH);
      scaledBy4(data, start, done, scales, firstScale, shift, to, offset);
    }
    int whole = LANES.loopBound(w.columns());
    scaled(data, start, done, whole, scales, firstScale, shift, to, offset);
    return whole;
  }

  /// @param shift element i has scale number `i >> shift`
  private static void scaled(
      byte[] data,
      int start,
      int from,
      int whole,
      float[] scales,
      int firstScale,
      int shift,
      float[] to,
      int offset) {
    for (int i = from; i < whole; i += WIDTH) {
      ((FloatVector)
              ByteVector.fromArray(BYTES, data, start + i)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scales[firstScale + (i >> shift)])
          .intoArray(to, offset + i);
    }
  }

  /// Four vectors to a scale.
  private static void scaledBy4(
      byte[] data,
      int start,
      int whole,
      float[] scales,
      int firstScale,
      int shift,
      float[] to,
      int offset) {
    for (int i = 0; i < whole; i += 4 * WIDTH) {
      var scale = FloatVector.broadcast(LANES, scales[firstScale + (i >> shift)]);
      ((FloatVector)
              ByteVector.fromArray(BYTES, data, start + i)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, offset + i);
      ((FloatVector)
              ByteVector.fromArray(BYTES, data, start + i + WIDTH)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, offset + i + WIDTH);
      ((FloatVector)
              ByteVector.fromArray(BYTES, data, start + i + 2 * WIDTH)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, offset + i + 2 * WIDTH);
      ((FloatVector)
              ByteVector.fromArray(BYTES, data, start + i + 3 * WIDTH)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, offset + i + 3 * WIDTH);
    }
  }
}
