package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import java.util.Locale;

/// The rounding of the feed-forward width in the Large family.
final class LargeWidth {
  /// Wider than any model, and small enough that no product of two widths overflows a long.
  static final int MAX = 1 << 29;

  private LargeWidth() {}

  /// `int(((D * factor + m - 1) // m) * m)` in floating point, as the official code computes it.
  ///
  /// That is no true ceiling: 768 x 2.6667 = 2048.03 gives 2048, where the next multiple of 64
  /// above it is 2112 (docs/math.md 3.9).
  ///
  /// @throws IllegalArgumentException if nothing is left, or the width overflows
  static int feedForward(double factor, int embeddingDim, int multipleOf) {
    Check.positive("ffnProjFactor", factor);
    Check.positive("ffnRoundUpToMultipleOf", multipleOf);
    double width = floorDivide(embeddingDim * factor + multipleOf - 1, multipleOf) * multipleOf;
    if (!(width >= 1 && width <= MAX)) {
      throw new IllegalArgumentException(
          String.format(
              Locale.ROOT,
              "ffnProjFactor (%s) times embeddingDim (%d), rounded to a multiple of %d, gives %.0f: not a usable width",
              factor,
              embeddingDim,
              multipleOf,
              width));
    }
    return (int) width;
  }

  /// Python's `//` on floats: through the exact remainder, so that a quotient just below a whole
  /// number does not round up to it.
  private static double floorDivide(double x, double by) {
    return Math.rint((x - x % by) / by);
  }
}
