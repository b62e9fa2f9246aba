package io.xlstm4j.core;

/// Argument checks whose messages carry both names and both values.
public final class Check {
  private Check() {}

  /// Requires `value > 0`.
  public static void positive(String name, long value) {
    if (value <= 0) {
      throw new IllegalArgumentException(name + " (" + value + ") must be positive");
    }
  }

  /// Requires `value > 0`, finite.
  public static void positive(String name, double value) {
    if (!(value > 0) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(name + " (" + value + ") must be positive and finite");
    }
  }

  /// Requires `value >= 0`.
  public static void notNegative(String name, long value) {
    if (value < 0) {
      throw new IllegalArgumentException(name + " (" + value + ") must not be negative");
    }
  }

  /// Requires `value >= 0`, finite.
  public static void notNegative(String name, double value) {
    if (!(value >= 0) || Double.isInfinite(value)) {
      throw new IllegalArgumentException(
          name + " (" + value + ") must not be negative and must be finite");
    }
  }

  /// Requires `value <= most`.
  public static void atMost(String name, long value, long most) {
    if (value > most) {
      throw new IllegalArgumentException(name + " (" + value + ") must be at most " + most);
    }
  }

  /// Requires `low <= value <= high`.
  public static void inClosedRange(String name, double value, double low, double high) {
    if (!(value >= low && value <= high)) {
      throw new IllegalArgumentException(
          name + " (" + value + ") must be in [" + low + ", " + high + "]");
    }
  }

  /// Requires `low <= value < high`.
  public static void inHalfOpenRange(String name, double value, double low, double high) {
    if (!(value >= low && value < high)) {
      throw new IllegalArgumentException(
          name + " (" + value + ") must be in [" + low + ", " + high + ")");
    }
  }

  /// Requires `low < value <= high`.
  public static void inLeftOpenRange(String name, double value, double low, double high) {
    if (!(value > low && value <= high)) {
      throw new IllegalArgumentException(
          name + " (" + value + ") must be in (" + low + ", " + high + "]");
    }
  }

  /// Requires `value` to be divisible by `divisor`.
  public static void divides(String divisorName, long divisor, String name, long value) {
    positive(divisorName, divisor);
    if (value % divisor != 0) {
      throw new IllegalArgumentException(
          "%s (%d) must divide %s (%d); remainder %d"
              .formatted(divisorName, divisor, name, value, value % divisor));
    }
  }

  /// Requires `a * b` elements to be addressable, so that no size computed from them overflows.
  public static void fitsArray(String aName, long a, String bName, long b, String what) {
    if (Math.multiplyHigh(a, b) != 0 || a * b > Integer.MAX_VALUE * 64L) {
      throw new IllegalArgumentException(
          "%s (%d) times %s (%d) is too large for the %s".formatted(aName, a, bName, b, what));
    }
  }

  /// Requires some text.
  public static void notBlank(String name, String value) {
    if (value.isBlank()) {
      throw new IllegalArgumentException(name + " (\"" + value + "\") must not be blank");
    }
  }
}
