package io.xlstm4j.kernels;

/// Sizes of one mLSTM call.
///
/// @param batch rows, B
/// @param length positions in a row, S
/// @param heads NH
/// @param qkDim width of a query or key, DHQK
/// @param vDim width of a value, DHV
public record MlstmShape(int batch, int length, int heads, int qkDim, int vDim) {
  public MlstmShape {
    positive("batch", batch);
    positive("length", length);
    positive("heads", heads);
    positive("qkDim", qkDim);
    positive("vDim", vDim);
  }

  private static void positive(String name, int size) {
    if (size < 1) {
      throw new IllegalArgumentException(name + " (" + size + ") must be positive");
    }
  }

  /// Pairs of batch row and head: each is computed on its own.
  int pairs() {
    return Math.multiplyExact(batch, heads);
  }

  long floatsOfC() {
    return (long) pairs() * qkDim * vDim;
  }

  long floatsOfN() {
    return (long) pairs() * qkDim;
  }
}
