package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import java.util.Locale;

/// The rounding of the width of the official up-projections: `factor x D`, to a multiple.
final class ProjectionWidth {
  private ProjectionWidth() {}

  static void check(double projFactor, int multipleOf) {
    Check.positive("projFactor", projFactor);
    Check.positive("roundProjUpToMultipleOf", multipleOf);
  }

  /// @param name of the factor, for the message
  /// @throws IllegalArgumentException if nothing is left, or the width overflows
  static int of(String name, double projFactor, int embeddingDim, boolean roundUp, int multipleOf) {
    double multiples = projFactor * embeddingDim / multipleOf;
    double width = (roundUp ? Math.ceil(multiples) : Math.floor(multiples)) * multipleOf;
    if (width < 1 || width > (1 << 29)) {
      throw new IllegalArgumentException(
          String.format(
              Locale.ROOT,
              "%s (%s) times embeddingDim (%d), rounded %s to a multiple of %d, gives %.0f: not a usable width",
              name,
              projFactor,
              embeddingDim,
              roundUp ? "up" : "down",
              multipleOf,
              width));
    }
    return (int) width;
  }
}
