package io.xlstm4j.train.series;

/// Brings a column to mean 0 and deviation 1, and back.
///
/// @param mean in the column's unit; NaN if no value is known
/// @param deviation in the column's unit, above 0; or 0 for a column that is constant
public record Scale(double mean, double deviation) {
  /// Leaves values as they are.
  public static final Scale NONE = new Scale(0, 1);

  /// The scale of no value at all: everything it gives is NaN.
  static final Scale UNKNOWN = new Scale(Double.NaN, 1);

  /// Differences of a few units in the last place are those of rounding.
  private static final double ROUNDING = 8 * 0x1p-53;

  /// The scale of the values `[from, to)` that are there, computed without overflow.
  ///
  /// @return of deviation 0 if they are all the same, but for rounding; [#UNKNOWN] if there is none
  static Scale of(double[] values, int from, int to) {
    double largest = 0;
    int count = 0;
    for (int i = from; i < to; i++) {
      if (!Double.isNaN(values[i])) {
        largest = Math.max(largest, Math.abs(values[i]));
        count++;
      }
    }
    if (count == 0) {
      return UNKNOWN;
    }
    if (largest == 0) {
      return new Scale(0, 0);
    }
    double unit = powerOfTwo(largest); // divides exactly, so that sums stay in range
    double sum = 0;
    for (int i = from; i < to; i++) {
      sum += Double.isNaN(values[i]) ? 0 : values[i] / unit;
    }
    double mean = sum / count;
    double squares = 0;
    double rest = 0;
    for (int i = from; i < to; i++) {
      if (!Double.isNaN(values[i])) {
        double difference = values[i] / unit - mean;
        squares += difference * difference;
        rest += difference;
      }
    }
    // the first mean is rounded; what is left of the sum corrects it and the squares
    mean += rest / count;
    double variance = Math.max(0, squares - rest * rest / count) / count;
    double deviation = Math.sqrt(variance);
    return deviation > ROUNDING * Math.max(1, Math.abs(mean))
        ? new Scale(mean * unit, Math.max(deviation * unit, Double.MIN_VALUE))
        : new Scale(values[firstKnown(values, from)], 0);
  }

  private static int firstKnown(double[] values, int from) {
    int at = from;
    while (Double.isNaN(values[at])) {
      at++;
    }
    return at;
  }

  /// The power of two at or below a positive number; the smallest number for some below it.
  static double powerOfTwo(double value) {
    double lifted = value < Double.MIN_NORMAL ? value * 0x1p60 : value;
    int exponent = Math.getExponent(lifted) - (value < Double.MIN_NORMAL ? 60 : 0);
    return Math.scalb(1.0, exponent);
  }

  /// Returns whether any value is known.
  public boolean isKnown() {
    return !Double.isNaN(mean);
  }

  /// Returns whether the column has one value only.
  public boolean isConstant() {
    return deviation == 0;
  }

  public double scaled(double value) {
    double difference = value - mean;
    if (Double.isInfinite(difference)) { // of values near the largest double
      return value / unit() - mean / unit();
    }
    return difference / unit();
  }

  /// The inverse of [#scaled]; of a constant column the constant.
  public double original(double scaled) {
    return isConstant() ? mean : scaled * deviation + mean;
  }

  /// Returns the divisor of differences from a constant: the constant's own size.
  double unit() {
    if (deviation > 0) {
      return deviation;
    }
    return mean == 0 ? 1 : Math.abs(mean);
  }
}
