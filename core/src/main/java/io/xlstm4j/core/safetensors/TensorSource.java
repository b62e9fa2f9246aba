package io.xlstm4j.core.safetensors;

import java.lang.foreign.MemorySegment;
import java.util.Map;

/// Named tensors that can be read, from one file or several. Safe for use by many threads; nothing
/// may be read after [#close()].
public interface TensorSource extends AutoCloseable {
  /// All tensors by name, in the order of their data.
  Map<String, TensorInfo> tensors();

  /// The free-form strings of the header, empty if it has none.
  Map<String, String> metadata();

  /// The bytes of one tensor as they are on disk, little-endian, read-only, mapped, not copied. The
  /// start need not be aligned: read through an `_UNALIGNED` layout. If another process cuts the
  /// file short meanwhile, an access throws [InternalError].
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if there is no such tensor
  /// @throws IllegalStateException after [#close()]; so do accesses to segments given out before
  MemorySegment data(String name);

  /// A copy of one floating-point tensor, row-major. Doubles are rounded to the nearest float.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if there is no such tensor, its elements are
  ///   integers, or it has more elements than an array can hold
  /// @throws IllegalStateException after [#close()]
  float[] floats(String name);

  /// A copy of one floating-point tensor, row-major, exact.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException as [#floats]
  /// @throws IllegalStateException after [#close()]
  double[] doubles(String name);

  /// A copy of one integer tensor, row-major; [DType#U8] is unsigned.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if there is no such tensor, its elements are not
  ///   integers, or it has more elements than an array can hold
  /// @throws IllegalStateException after [#close()]
  long[] longs(String name);

  /// What is known about one tensor.
  ///
  /// @throws io.xlstm4j.core.InvalidInputException if there is no such tensor
  TensorInfo info(String name);

  /// Gives the memory back and invalidates every segment. A second call does nothing.
  @Override
  void close();
}
