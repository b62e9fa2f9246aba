package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// [WeightRowsKernel] on the Vector API; what is left of a row after the last whole vector is read
/// by the plain loops. Memory is read in the loops themselves: a vector that a method gives may end
/// up on the heap.
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
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;

  private static final int F16_SIGN = 0x8000;
  private static final int F16_REST = 0x7FFF;
  private static final int F16_INFINITE = 0x7C00 << 13;
  private static final int F32_INFINITE = 0x7F80_0000;
  private static final float F16_SCALE = 0x1p112f; // the exponents' biases differ by 112

  @Override
  public void widen(WeightMatrix w, int row, float[] to, int at) {
    long start = (long) row * w.columns() * w.type().bytes();
    int done =
        switch (w.type()) {
          case F32 -> float32(w.data(), start, w.columns(), to, at);
          case BF16 -> bfloat16(w.data(), start, w.columns(), to, at);
          case F16 -> float16(w.data(), start, w.columns(), to, at);
          case INT8 -> int8(w, row, start, to, at);
        };
    for (int column = done; column < w.columns(); column++) {
      to[at + column] = ScalarWeightRowsKernel.element(w, row, column);
    }
  }

  private static int float32(MemorySegment data, long start, int count, float[] to, int at) {
    int whole = LANES.loopBound(count);
    for (int i = 0; i < whole; i += WIDTH) {
      FloatVector.fromMemorySegment(LANES, data, start + 4L * i, ORDER).intoArray(to, at + i);
    }
    return whole;
  }

  private static int bfloat16(MemorySegment data, long start, int count, float[] to, int at) {
    int whole = LANES.loopBound(count);
    for (int i = 0; i < whole; i += WIDTH) {
      var bits =
          (IntVector)
              ShortVector.fromMemorySegment(SHORTS, data, start + 2L * i, ORDER)
                  .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0);
      bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoArray(to, at + i);
    }
    return whole;
  }

  private static int float16(MemorySegment data, long start, int count, float[] to, int at) {
    int whole = LANES.loopBound(count);
    for (int i = 0; i < whole; i += WIDTH) {
      var bits =
          (IntVector)
              ShortVector.fromMemorySegment(SHORTS, data, start + 2L * i, ORDER)
                  .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0);
      halves(bits).intoArray(to, at + i);
    }
    return whole;
  }

  /// The scaling makes normal what is subnormal; infinity and NaN keep their exponent.
  private static FloatVector halves(IntVector bits) {
    IntVector rest = bits.and(F16_REST).lanewise(VectorOperators.LSHL, 13);
    VectorMask<Integer> infinite = rest.compare(VectorOperators.GE, F16_INFINITE);
    IntVector finite = rest.reinterpretAsFloats().mul(F16_SCALE).reinterpretAsInts();
    return finite
        .blend(rest.or(F32_INFINITE), infinite)
        .or(bits.and(F16_SIGN).lanewise(VectorOperators.LSHL, 16))
        .reinterpretAsFloats();
  }

  private static int int8(WeightMatrix w, int row, long start, float[] to, int at) {
    MemorySegment scales = w.scales();
    if (scales == null || BYTES.length() != WIDTH) {
      return 0;
    }
    long firstScale = (long) row * w.groups() * Float.BYTES;
    int shift = w.groups() == 1 ? 31 : Integer.numberOfTrailingZeros(w.group());
    if (w.groups() > 1 && (w.group() != 1 << shift || w.group() < WIDTH)) {
      return 0; // a vector could span two groups
    }
    int done = 0;
    if (shift == 31 || w.group() >= 4 * WIDTH) {
      done = w.columns() / (4 * WIDTH) * (4 * WIDTH);
      scaledBy4(w.data(), start, done, scales, firstScale, shift, to, at);
    }
    int whole = LANES.loopBound(w.columns());
    scaled(w.data(), start, done, whole, scales, firstScale, shift, to, at);
    return whole;
  }

  /// @param shift element i has scale number `i >> shift`
  private static void scaled(
      MemorySegment data,
      long start,
      int from,
      int whole,
      MemorySegment scales,
      long firstScale,
      int shift,
      float[] to,
      int at) {
    for (int i = from; i < whole; i += WIDTH) {
      float scale = scale(scales, firstScale, i >> shift);
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, data, start + i, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, at + i);
    }
  }

  /// Four vectors to a scale.
  private static void scaledBy4(
      MemorySegment data,
      long start,
      int whole,
      MemorySegment scales,
      long firstScale,
      int shift,
      float[] to,
      int at) {
    for (int i = 0; i < whole; i += 4 * WIDTH) {
      var scale = FloatVector.broadcast(LANES, scale(scales, firstScale, i >> shift));
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, data, start + i, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, at + i);
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, data, start + i + WIDTH, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, at + i + WIDTH);
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, data, start + i + 2L * WIDTH, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, at + i + 2 * WIDTH);
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, data, start + i + 3L * WIDTH, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(scale)
          .intoArray(to, at + i + 3 * WIDTH);
    }
  }

  private static float scale(MemorySegment scales, long first, int number) {
    return scales.get(ScalarWeightRowsKernel.FLOAT, first + ((long) number << 2));
  }
}
