package io.xlstm4j.cuda.mlstm;

/// Sizes of an mLSTM cell over a sequence. Immutable, and every instance is valid.
///
/// @param batch B, number of sequences
/// @param length S, tokens of a sequence
/// @param heads NH
/// @param qkDim DQK, width of a query or key
/// @param vDim DHV, width of a value
public record MlstmShape(int batch, int length, int heads, int qkDim, int vDim) {
  private static final int LARGEST_GRID = 65_535;
  private static final int LARGEST_WIDTH = 1 << 14;
  private static final int LARGEST_LENGTH = 1 << 22;

  public MlstmShape {
    if (batch < 1 || length < 1 || heads < 1 || qkDim < 1 || vDim < 1) {
      throw new IllegalArgumentException(
          "batch (%d), length (%d), heads (%d), qkDim (%d) and vDim (%d) must be positive"
              .formatted(batch, length, heads, qkDim, vDim));
    }
    if ((long) batch * heads > LARGEST_GRID) {
      throw new IllegalArgumentException(
          "batch (%d) times heads (%d) must be at most %d".formatted(batch, heads, LARGEST_GRID));
    }
    if (qkDim > LARGEST_WIDTH || vDim > LARGEST_WIDTH) {
      throw new IllegalArgumentException(
          "qkDim (%d) and vDim (%d) must be at most %d".formatted(qkDim, vDim, LARGEST_WIDTH));
    }
    if (length > LARGEST_LENGTH || (long) batch * length >= Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "length (%d) must be at most %d, and batch (%d) times length less than 2^31"
              .formatted(length, LARGEST_LENGTH, batch));
    }
  }

  /// B NH: each pair of sequence and head is computed on its own.
  int pairs() {
    return batch * heads;
  }

  /// Values of a mask `(B, S)`.
  int positions() {
    return batch * length;
  }

  /// Values of a gate `(B, S, NH)`.
  public long gateValues() {
    return (long) positions() * heads;
  }

  /// Values of q or k `(B, S, NH, DQK)`.
  public long qkValues() {
    return gateValues() * qkDim;
  }

  /// Values of v or h `(B, S, NH, DHV)`.
  public long vValues() {
    return gateValues() * vDim;
  }

  /// Values of C `(B, NH, DQK, DHV)`.
  public long cValues() {
    return (long) pairs() * qkDim * vDim;
  }

  /// Values of n `(B, NH, DQK)`.
  public long nValues() {
    return (long) pairs() * qkDim;
  }

  /// Values of m `(B, NH)`.
  public long mValues() {
    return pairs();
  }
}
