package io.xlstm4j.kernels;

/// The type in which an element of a [WeightMatrix] is stored.
public enum WeightType {
  F32(4),
  BF16(2),
  F16(2),
  /// Signed, times the scale of its group.
  INT8(1);

  private final int bytes;

  WeightType(int bytes) {
    this.bytes = bytes;
  }

  public int bytes() {
    return bytes;
  }
}
