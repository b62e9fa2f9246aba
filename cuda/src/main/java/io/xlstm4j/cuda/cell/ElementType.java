package io.xlstm4j.cuda.cell;

/// The type of sequences (and of a recurrent kernel) in the device's memory. States, bias, all
/// gradients of parameters and all sums are float32 in either case.
public enum ElementType {
  FLOAT32(4, "f32"),
  BFLOAT16(2, "bf16");

  private final int bytes;
  private final String suffix;

  ElementType(int bytes, String suffix) {
    this.bytes = bytes;
    this.suffix = suffix;
  }

  /// Bytes of one value.
  public int bytes() {
    return bytes;
  }

  /// The kernel for this type.
  public String kernel(String name) {
    return name + "_" + suffix;
  }

  /// How many bfloat16 values stand for one value in the matrix units.
  public int planes() {
    return this == FLOAT32 ? 2 : 1;
  }
}
