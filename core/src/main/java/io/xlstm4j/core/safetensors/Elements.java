package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Tensor data to Java arrays and back.
final class Elements {
  private static final ValueLayout.OfDouble F64 =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort I16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong I64 =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Elements() {}

  static float[] floats(String where, TensorInfo info, MemorySegment data) {
    float[] out = new float[arrayLength(where, info)];
    switch (info.dtype()) {
      case F32 -> MemorySegment.copy(data, F32, 0, out, 0, out.length);
      case F64 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = (float) data.get(F64, 8L * i);
        }
      }
      case BF16 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = BFloat16.toFloat(data.get(I16, 2L * i));
        }
      }
      case F16 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = Float.float16ToFloat(data.get(I16, 2L * i));
        }
      }
      case I64, I32, I8, U8 -> throw wrongKind(where, info, "floating-point");
    }
    return out;
  }

  static double[] doubles(String where, TensorInfo info, MemorySegment data) {
    double[] out = new double[arrayLength(where, info)];
    switch (info.dtype()) {
      case F64 -> MemorySegment.copy(data, F64, 0, out, 0, out.length);
      case F32 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = data.get(F32, 4L * i);
        }
      }
      case BF16 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = BFloat16.toFloat(data.get(I16, 2L * i));
        }
      }
      case F16 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = Float.float16ToFloat(data.get(I16, 2L * i));
        }
      }
      case I64, I32, I8, U8 -> throw wrongKind(where, info, "floating-point");
    }
    return out;
  }

  static long[] longs(String where, TensorInfo info, MemorySegment data) {
    long[] out = new long[arrayLength(where, info)];
    switch (info.dtype()) {
      case I64 -> MemorySegment.copy(data, I64, 0, out, 0, out.length);
      case I32 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = data.get(I32, 4L * i);
        }
      }
      case I8 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = data.get(ValueLayout.JAVA_BYTE, i);
        }
      }
      case U8 -> {
        for (int i = 0; i < out.length; i++) {
          out[i] = Byte.toUnsignedLong(data.get(ValueLayout.JAVA_BYTE, i));
        }
      }
      case F64, F32, BF16, F16 -> throw wrongKind(where, info, "integer");
    }
    return out;
  }

  static MemorySegment segment(DType dtype, float[] values) {
    MemorySegment out = allocate((long) dtype.bytes() * values.length);
    switch (dtype) {
      case F32 -> MemorySegment.copy(values, 0, out, F32, 0, values.length);
      case F64 -> {
        for (int i = 0; i < values.length; i++) {
          out.set(F64, 8L * i, values[i]);
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          out.set(I16, 2L * i, BFloat16.fromFloat(values[i]));
        }
      }
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          out.set(I16, 2L * i, Float.floatToFloat16(values[i]));
        }
      }
      case I64, I32, I8, U8 ->
          throw new IllegalArgumentException("dtype (" + dtype + ") must be a floating-point type");
    }
    return out;
  }

  static MemorySegment segment(double[] values) {
    MemorySegment out = allocate(8L * values.length);
    MemorySegment.copy(values, 0, out, F64, 0, values.length);
    return out;
  }

  static MemorySegment segment(DType dtype, long[] values) {
    MemorySegment out = allocate((long) dtype.bytes() * values.length);
    for (int i = 0; i < values.length; i++) {
      long value = values[i];
      switch (dtype) {
        case I64 -> out.set(I64, 8L * i, value);
        case I32 ->
            out.set(I32, 4L * i, (int) fitting(dtype, value, Integer.MIN_VALUE, Integer.MAX_VALUE));
        case I8 ->
            out.set(ValueLayout.JAVA_BYTE, i, (byte) fitting(dtype, value, Byte.MIN_VALUE, 127));
        case U8 -> out.set(ValueLayout.JAVA_BYTE, i, (byte) fitting(dtype, value, 0, 255));
        case F64, F32, BF16, F16 ->
            throw new IllegalArgumentException("dtype (" + dtype + ") must be an integer type");
      }
    }
    return out;
  }

  @SuppressWarnings("MustBeClosedChecker") // freed with the last reference to the segment
  private static MemorySegment allocate(long bytes) {
    return Arena.ofAuto().allocate(bytes, 8);
  }

  private static long fitting(DType dtype, long value, long low, long high) {
    if (value < low || value > high) {
      throw new IllegalArgumentException(
          "value (%d) must fit into %s, from %d to %d".formatted(value, dtype, low, high));
    }
    return value;
  }

  private static int arrayLength(String where, TensorInfo info) {
    int limit = Integer.MAX_VALUE - 8; // the longest array that every JVM can make
    if (info.elementCount() > limit) {
      throw new InvalidInputException(
          "%s: tensor %s has %d elements, more than a Java array holds (%d)"
              .formatted(where, OneLine.quote(info.name()), info.elementCount(), limit));
    }
    return (int) info.elementCount();
  }

  private static InvalidInputException wrongKind(String where, TensorInfo info, String wanted) {
    return new InvalidInputException(
        "%s: tensor %s is %s, but %s elements were asked for"
            .formatted(where, OneLine.quote(info.name()), info.dtype(), wanted));
  }
}
