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
  public int pairs() {
    return Math.multiplyExact(batch, heads);
  }

  long floatsOfC() {
    return (long) pairs() * qkDim * vDim;
  }

  long floatsOfN() {
    return (long) pairs() * qkDim;
  }

  /// @throws IllegalArgumentException if positions of `(B, S, NH, W)` overlap or do not fit
  public void check(String name, StridedMatrix rows, int width) {
    rows.check(name, Math.multiplyExact(batch, length), Math.multiplyExact(heads, width));
  }

  /// The float at which a position of a row's head begins.
  public long at(StridedMatrix rows, int row, int head, int width, int position) {
    return ((long) row * length + position) * rows.stride() + (long) head * width;
  }

  /// The same of a pair.
  public long at(StridedMatrix rows, int pair, int width, int position) {
    return at(rows, pair / heads, pair % heads, width, position);
  }

  public float get(StridedMatrix rows, int row, int head, int width, int position, int column) {
    return rows.get(row * length + position, head * width + column);
  }

  public void set(
      StridedMatrix rows, int row, int head, int width, int position, int column, double value) {
    rows.set(row * length + position, head * width + column, (float) value);
  }
}
