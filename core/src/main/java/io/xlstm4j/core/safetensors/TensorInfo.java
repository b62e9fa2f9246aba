package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.OneLine;
import java.util.Arrays;

/// The header's entry of one tensor. Every instance is consistent: the offsets span exactly shape
/// times element size.
///
/// @param name the tensor's name
/// @param dtype element type
/// @param shape sizes, outermost first; empty for a scalar. Copied on the way in and out.
/// @param begin first byte, counted from the start of the data section
/// @param end one past the last byte
public record TensorInfo(String name, DType dtype, long[] shape, long begin, long end) {
  /// Checks and copies.
  ///
  /// @throws IllegalArgumentException if a size is negative, the byte size overflows 2^63 - 1, or
  ///   the offsets do not span the byte size
  public TensorInfo {
    shape = shape.clone();
    Check.notNegative("begin", begin);
    long needed = byteSize(dtype, shape);
    if (end < begin) {
      throw new IllegalArgumentException(
          "data_offsets [%d, %d] are reversed".formatted(begin, end));
    }
    if (end - begin != needed) {
      throw new IllegalArgumentException(
          "data_offsets [%d, %d] span %d bytes, but shape %s of %s needs %d"
              .formatted(begin, end, end - begin, describe(shape), dtype, needed));
    }
  }

  /// A copy of the sizes, outermost first.
  @Override
  public long[] shape() {
    return shape.clone();
  }

  /// The product of the sizes; 1 for a scalar.
  public long elementCount() {
    return byteSize() / dtype.bytes();
  }

  /// Bytes of the data.
  public long byteSize() {
    return end - begin;
  }

  /// Bytes that a tensor takes.
  ///
  /// @throws IllegalArgumentException if a size is negative or the product overflows 2^63 - 1
  static long byteSize(DType dtype, long[] shape) {
    long bytes = dtype.bytes();
    for (long size : shape) {
      Check.notNegative("size", size);
      long product = bytes * size;
      if (Math.multiplyHigh(bytes, size) != 0 || product < 0) {
        throw new IllegalArgumentException(
            "shape %s of %s overflows 2^63 - 1 bytes".formatted(describe(shape), dtype));
      }
      bytes = product;
    }
    return bytes;
  }

  static String describe(long[] shape) {
    return OneLine.of(Arrays.toString(shape));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TensorInfo that
        && name.equals(that.name)
        && dtype == that.dtype
        && Arrays.equals(shape, that.shape)
        && begin == that.begin
        && end == that.end;
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + Arrays.hashCode(shape) + Long.hashCode(begin);
  }

  @Override
  public String toString() {
    return "%s %s %s at [%d, %d)".formatted(OneLine.of(name), dtype, describe(shape), begin, end);
  }
}
