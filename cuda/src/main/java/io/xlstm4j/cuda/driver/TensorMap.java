package io.xlstm4j.cuda.driver;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/// Descriptions of bfloat16 tensors of four dimensions for the copy engine of compute capability
/// 9.0 and newer (TMA), which brings boxes of 64 x 64 x 1 x 1 values to shared memory, swizzled in
/// rows of 128 bytes. What lies outside of the tensor arrives as zeros.
public final class TensorMap {
  /// Bytes of a description.
  public static final int BYTES = 128;

  private static final int RANK = 4;
  private static final int BFLOAT16 = 9;
  private static final int SWIZZLE_128 = 3;
  private static final int PROMOTE_256 = 3;

  private TensorMap() {}

  /// Writes a description.
  ///
  /// @param to its first [#BYTES] bytes, which start at a multiple of 64
  /// @param data starts at a multiple of 16 bytes
  /// @param sizes values of each dimension, the one that is contiguous first
  /// @param strides bytes from one to the next in the other three dimensions, multiples of 16
  /// @throws CudaException if the driver refuses
  public static void write(
      CudaContext context, MemorySegment to, DeviceSpan data, long[] sizes, long[] strides) {
    if (sizes.length != RANK || strides.length != RANK - 1) {
      throw new IllegalArgumentException(
          "%d sizes and %d strides; there are %d dimensions"
              .formatted(sizes.length, strides.length, RANK));
    }
    try (var arena = Arena.ofConfined()) {
      context
          .current()
          .encodeTensorMap(
              to,
              BFLOAT16,
              RANK,
              MemorySegment.ofAddress(data.address()),
              arena.allocateFrom(JAVA_LONG, sizes),
              arena.allocateFrom(JAVA_LONG, strides),
              arena.allocateFrom(JAVA_INT, 64, 64, 1, 1),
              arena.allocateFrom(JAVA_INT, 1, 1, 1, 1),
              SWIZZLE_128,
              PROMOTE_256);
    }
  }
}
