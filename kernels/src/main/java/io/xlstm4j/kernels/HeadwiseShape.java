package io.xlstm4j.kernels;

/// Sizes of one headwise product.
///
/// @param positions of all rows together
/// @param heads blocks on the diagonal, NH
/// @param in width of a block's input, I
/// @param out width of a block's output, O
public record HeadwiseShape(int positions, int heads, int in, int out) {
  public HeadwiseShape {
    if (positions < 1 || heads < 1 || in < 1 || out < 1) {
      throw new IllegalArgumentException(
          "positions, heads, in and out must be positive, got "
              + positions
              + ", "
              + heads
              + ", "
              + in
              + ", "
              + out);
    }
  }

  public int floatsOfWeight() {
    return Math.multiplyExact(heads, Math.multiplyExact(in, out));
  }
}
