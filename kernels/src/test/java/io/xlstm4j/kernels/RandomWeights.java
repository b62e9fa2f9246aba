package io.xlstm4j.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/// Random matrices of every type.
public final class RandomWeights {
  private RandomWeights() {}

  /// Numbers near one; the last row ends where its memory does.
  public static WeightMatrix of(WeightType type, int rows, int columns, int group, int offset) {
    var random = new Random(31L * columns + 7L * type.bytes() + group);
    long bytes = (long) rows * columns * type.bytes();
    MemorySegment data = Arena.ofAuto().allocate(offset + bytes, 64).asSlice(offset, bytes);
    for (long i = 0; i < (long) rows * columns; i++) {
      float value = (float) random.nextGaussian();
      switch (type) {
        case F32 -> data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, 4 * i, value);
        case BF16 ->
            data.set(
                ValueLayout.JAVA_SHORT_UNALIGNED,
                2 * i,
                (short) (Float.floatToIntBits(value) >> 16));
        case F16 -> data.set(ValueLayout.JAVA_SHORT_UNALIGNED, 2 * i, Float.floatToFloat16(value));
        case INT8 -> data.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt(256));
      }
    }
    if (type != WeightType.INT8) {
      return WeightMatrix.of(type, rows, columns, data);
    }
    double[] scales = new double[rows * Math.ceilDiv(columns, group)];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = (0.5 + random.nextDouble()) / 64;
    }
    return new WeightMatrix(type, rows, columns, data, Floats.of(scales), group);
  }
}
