package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.OneLine;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/// One tensor to be written.
///
/// @param name unique within the file
/// @param dtype element type
/// @param shape sizes, outermost first; empty for a scalar. Copied on the way in and out.
/// @param data the elements, row-major, little-endian; not copied, so it must stay as it is until
///   the file is written
public record TensorData(String name, DType dtype, long[] shape, MemorySegment data)
    implements TensorToWrite {
  /// Checks and copies the shape.
  ///
  /// @throws IllegalArgumentException if a size is negative, `data` is not exactly shape times
  ///   element size long, or `name` is the reserved `__metadata__`
  public TensorData {
    shape = shape.clone();
    if (name.equals(Header.METADATA)) {
      throw new IllegalArgumentException("a tensor cannot be named " + name);
    }
    long needed = TensorInfo.byteSize(dtype, shape);
    if (data.byteSize() != needed) {
      throw new IllegalArgumentException(
          "tensor %s has %d bytes of data, but shape %s of %s needs %d"
              .formatted(
                  OneLine.quote(name), data.byteSize(), TensorInfo.describe(shape), dtype, needed));
    }
  }

  /// A tensor with a copy of `values`, rounded to the nearest value of `dtype`, ties to even.
  ///
  /// @throws IllegalArgumentException as the constructor, or if `dtype` is of integers
  public static TensorData of(String name, DType dtype, long[] shape, float... values) {
    return new TensorData(name, dtype, shape, Elements.segment(dtype, values));
  }

  /// A tensor with a copy of `values`, which must fit into `dtype`.
  ///
  /// @throws IllegalArgumentException as the constructor, if `dtype` is not of integers, or if a
  ///   value does not fit
  public static TensorData ofIntegers(String name, DType dtype, long[] shape, long... values) {
    return new TensorData(name, dtype, shape, Elements.segment(dtype, values));
  }

  /// An [DType#F64] tensor with a copy of `values`.
  ///
  /// @throws IllegalArgumentException as the constructor
  public static TensorData ofDoubles(String name, long[] shape, double... values) {
    return new TensorData(name, DType.F64, shape, Elements.segment(values));
  }

  /// A copy of the sizes, outermost first.
  @Override
  public long[] shape() {
    return shape.clone();
  }

  @Override
  public long byteSize() {
    return data.byteSize();
  }

  @Override
  public void copyTo(long from, MemorySegment target) {
    MemorySegment.copy(data, from, target, 0, target.byteSize());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TensorData that
        && name.equals(that.name)
        && dtype == that.dtype
        && Arrays.equals(shape, that.shape)
        && data.equals(that.data);
  }

  @Override
  public int hashCode() {
    return 31 * name.hashCode() + Arrays.hashCode(shape);
  }

  @Override
  public String toString() {
    return "%s %s %s".formatted(OneLine.of(name), dtype, TensorInfo.describe(shape));
  }
}
