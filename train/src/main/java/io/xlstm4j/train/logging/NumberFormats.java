package io.xlstm4j.train.logging;

import java.util.Locale;

/// Numbers as people read them.
public final class NumberFormats {
  private static final String[] SIZES = {"", "K", "M", "B", "T"};

  private NumberFormats() {}

  /// Three digits and a letter, such as `588K` and `1.25M`; `-` for NaN and what is negative.
  public static String count(double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      return "-";
    }
    double rest = value;
    int size = 0;
    while (rest >= 999.5 && size < SIZES.length - 1) {
      rest /= 1000;
      size++;
    }
    String digits =
        String.format(
            Locale.ROOT,
            size == 0 || rest >= 99.95 ? "%.0f" : rest >= 9.995 ? "%.1f" : "%.2f",
            rest);
    return digits + SIZES[size];
  }

  /// A loss or the like with `decimals` digits behind the point, `-` for NaN.
  public static String fixed(double value, int decimals) {
    return Double.isFinite(value) ? String.format(Locale.ROOT, "%,." + decimals + "f", value) : "-";
  }

  /// Four digits that count, `-` for NaN.
  public static String digits(double value) {
    if (!Double.isFinite(value)) {
      return "-";
    }
    double size = Math.abs(value);
    if (size == 0 || (value == Math.rint(value) && size < 1e15)) {
      return String.format(Locale.ROOT, "%,d", (long) value);
    }
    if (size >= 1000) {
      return String.format(Locale.ROOT, "%,.0f", value);
    }
    return size < 1e-3
        ? String.format(Locale.ROOT, "%.2e", value)
        : String.format(Locale.ROOT, "%.4g", value);
  }

  /// `4:05`, or `1:02:03` from an hour on; `-` for NaN.
  public static String duration(double seconds) {
    if (!(seconds >= 0) || Double.isInfinite(seconds)) {
      return "-";
    }
    long s = Math.round(seconds);
    return s < 3600
        ? String.format(Locale.ROOT, "%d:%02d", s / 60, s % 60)
        : String.format(Locale.ROOT, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
  }
}
