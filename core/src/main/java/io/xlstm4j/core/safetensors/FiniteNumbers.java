package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/// Looks through tensors for NaN and infinities, which no usable weight is.
///
/// Reads every byte once, at about the speed of memory. The system property
/// `xlstm4j.checkWeights=false` leaves it out.
public final class FiniteNumbers {
  /// The system property that switches the check off.
  public static final String PROPERTY = "xlstm4j.checkWeights";

  private static final ValueLayout.OfInt I32 =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /// Ints looked at in one go: few enough to stay in the first cache.
  private static final int PIECE = 4096;

  // All bits of the exponent are set in NaN and infinity, and in nothing else.
  private static final int EXPONENT_32 = 0x7f800000;
  private static final int EXPONENT_64 = 0x7ff00000; // of the upper half
  private static final int EXPONENT_BF16 = 0x7f80;
  private static final int EXPONENT_16 = 0x7c00;

  private FiniteNumbers() {}

  /// Bytes of all tensors, as they are stored.
  public static long bytes(TensorSource source) {
    return source.tensors().values().stream().mapToLong(TensorInfo::byteSize).sum();
  }

  /// Requires that every floating-point number is finite; of matrices in 8 bits, every scale.
  ///
  /// @param where the name of the folder or file, for messages
  /// @throws InvalidInputException that names the first tensor with another number, and its place
  public static void require(TensorSource source, String where) {
    if (!Boolean.parseBoolean(System.getProperty(PROPERTY, "true"))) {
      return;
    }
    for (TensorInfo info : source.tensors().values()) {
      QuantizedTensors.@Nullable Int8 int8 =
          source instanceof QuantizedTensors quantized ? quantized.int8(info.name()) : null;
      if (int8 != null) {
        require(where, info.name() + QuantizedTensors.SCALES, DType.F32, int8.scales());
      } else if (info.dtype().isFloat()) {
        require(where, info.name(), info.dtype(), source.data(info.name()));
      }
    }
  }

  private static void require(String where, String name, DType type, MemorySegment data) {
    long at = firstOther(type, data);
    if (at >= 0) {
      throw new InvalidInputException(
          "%s: tensor %s has a number that is not finite: element %d of %d; the file is damaged, or its training had diverged"
              .formatted(where, OneLine.quote(name), at, data.byteSize() / type.bytes()));
    }
  }

  /// The index of the first element that is NaN or infinite, or -1.
  static long firstOther(DType type, MemorySegment data) {
    int[] piece = new int[PIECE];
    long ints = data.byteSize() / Integer.BYTES;
    for (long from = 0; from < ints; from += PIECE) {
      int count = (int) Math.min(PIECE, ints - from);
      MemorySegment.copy(data, I32, from * Integer.BYTES, piece, 0, count);
      if (hasOther(type, piece, count)) {
        for (int i = 0; i < count; i++) {
          int in = otherIn(type, piece[i], from + i);
          if (in >= 0) {
            return (from + i) * Integer.BYTES / type.bytes() + in;
          }
        }
      }
    }
    if (data.byteSize() % Integer.BYTES != 0) { // the last of an odd number of halves
      long last = data.byteSize() / 2 - 1;
      int bits =
          data.get(ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), 2 * last);
      int exponent = type == DType.BF16 ? EXPONENT_BF16 : EXPONENT_16;
      return (bits & exponent) == exponent ? last : -1;
    }
    return -1;
  }

  /// One pass without a branch, which the compiler turns into vectors.
  private static boolean hasOther(DType type, int[] piece, int count) {
    int low = exponentOfLowerHalf(type);
    int high = exponentOfUpperHalf(type);
    int mostLow = 0;
    int mostHigh = 0;
    for (int i = 0; i < count; i++) {
      mostLow = Math.max(mostLow, piece[i] & low);
      mostHigh = Math.max(mostHigh, piece[i] & high);
    }
    return (low != 0 && mostLow == low) || mostHigh == high;
  }

  private static int exponentOfUpperHalf(DType type) {
    return switch (type) {
      case F64 -> EXPONENT_64;
      case F32 -> EXPONENT_32;
      case BF16 -> EXPONENT_BF16 << 16;
      case F16 -> EXPONENT_16 << 16;
      case I64, I32, I8, U8 -> throw new IllegalArgumentException(type + " is not floating-point");
    };
  }

  private static int exponentOfLowerHalf(DType type) {
    return switch (type) {
      case BF16 -> EXPONENT_BF16;
      case F16 -> EXPONENT_16;
      case F64, F32, I64, I32, I8, U8 -> 0;
    };
  }

  /// Returns the element of an int that is not finite, or -1.
  ///
  /// @param index of the int; of a double, only the upper half says what it is
  private static int otherIn(DType type, int bits, long index) {
    int low = exponentOfLowerHalf(type);
    int high = exponentOfUpperHalf(type);
    if (low != 0 && (bits & low) == low) {
      return 0;
    }
    boolean counts = type != DType.F64 || index % 2 == 1;
    if (counts && (bits & high) == high) {
      return low == 0 ? 0 : 1;
    }
    return -1;
  }
}
