package io.xlstm4j.cli;

import java.util.Locale;

/// Text of a measure for people: six digits that count, whatever its size.
final class MeasureText {
  private MeasureText() {}

  /// Writes a measure.
  ///
  /// @param value that may be too large for a number of 64 bits, as the square of 1e200 is
  static String of(double value) {
    return Double.isFinite(value)
        ? String.format(Locale.ROOT, "%.6g", value)
        : "- (too large for a number)";
  }
}
