package io.xlstm4j.core.safetensors;

/// The element types we read and write; all are little-endian on disk.
public enum DType {
  /// IEEE double.
  F64(8),
  /// IEEE float.
  F32(4),
  /// The upper half of an IEEE float.
  BF16(2),
  /// IEEE half.
  F16(2),
  /// Signed 64-bit integer.
  I64(8),
  /// Signed 32-bit integer.
  I32(4),
  /// Signed byte.
  I8(1),
  /// Unsigned byte.
  U8(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /// Bytes of one element.
  public int bytes() {
    return bytes;
  }

  /// Returns whether elements are real numbers rather than integers.
  public boolean isFloat() {
    return switch (this) {
      case F64, F32, BF16, F16 -> true;
      case I64, I32, I8, U8 -> false;
    };
  }
}
