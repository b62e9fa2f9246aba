package io.xlstm4j.cuda.slstm;

/// Sizes of an sLSTM cell over a sequence. Immutable, and every instance is valid.
///
/// @param batch B, number of sequences
/// @param length S, tokens of a sequence
/// @param heads NH
/// @param headDim DH, units of a head, at most 1,024
public record SlstmShape(int batch, int length, int heads, int headDim) {
  /// The largest width of a head.
  public static final int LARGEST_HEAD_DIM = 1024;

  private static final int LARGEST_GRID = 65_535;

  public SlstmShape {
    if (batch < 1 || length < 1 || heads < 1 || headDim < 1) {
      throw new IllegalArgumentException(
          "batch (%d), length (%d), heads (%d) and headDim (%d) must be positive"
              .formatted(batch, length, heads, headDim));
    }
    if (headDim > LARGEST_HEAD_DIM) {
      throw new IllegalArgumentException(
          "headDim (%d) must be at most %d".formatted(headDim, LARGEST_HEAD_DIM));
    }
    if (heads > LARGEST_GRID || batch > 4 * LARGEST_GRID) {
      throw new IllegalArgumentException(
          "heads (%d) must be at most %d, and batch (%d) at most %d"
              .formatted(heads, LARGEST_GRID, batch, 4 * LARGEST_GRID));
    }
    if ((long) batch * length >= Integer.MAX_VALUE) {
      throw new IllegalArgumentException(
          "batch (%d) times length (%d) must be less than 2^31".formatted(batch, length));
    }
  }

  /// B S, all positions.
  int positions() {
    return batch * length;
  }

  /// NH DH, units of all heads.
  long units() {
    return (long) heads * headDim;
  }

  /// Values of a state part `(B, NH, DH)`.
  public long stateValues() {
    return batch * units();
  }

  /// Values of the outputs `(B, S, NH, DH)`.
  public long outputValues() {
    return positions() * units();
  }

  /// Values of the gates `(B, S, 4, NH, DH)`.
  public long gateValues() {
    return 4 * outputValues();
  }

  /// Values of the recurrent kernel `(NH, DH, 4, DH)`.
  public long kernelValues() {
    return units() * 4 * headDim;
  }

  /// Values of the bias `(NH, 4, DH)`.
  public long biasValues() {
    return 4 * units();
  }
}
