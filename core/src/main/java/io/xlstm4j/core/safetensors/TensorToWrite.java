package io.xlstm4j.core.safetensors;

import java.lang.foreign.MemorySegment;

/// A tensor that a [SafetensorsWriter] takes piece by piece, so that one that is only computed as
/// it is written never needs memory for all of it.
public interface TensorToWrite {
  /// Unique within the file.
  String name();

  DType dtype();

  /// Sizes, outermost first; empty for a scalar.
  long[] shape();

  /// Bytes of all elements: the shape times the element size.
  long byteSize();

  /// Gives a part of the bytes, row-major, little-endian.
  ///
  /// @param from first byte; at an element's start
  /// @param target as many bytes as are wanted; whole elements
  /// @throws io.xlstm4j.core.InvalidInputException if a number cannot be written as [#dtype]
  void copyTo(long from, MemorySegment target);
}
