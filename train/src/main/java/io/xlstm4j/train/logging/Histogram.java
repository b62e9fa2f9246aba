package io.xlstm4j.train.logging;

import java.util.Arrays;

/// A histogram of values.
///
/// @param min least value
/// @param max greatest value
/// @param count how many values are finite
/// @param sum of them
/// @param sumOfSquares of them
/// @param limits upper end of every bucket, ascending, the end included; the first begins at `min`
/// @param counts values in each bucket
/// @param nonFinite how many values were NaN or infinite; they are in no bucket
public record Histogram(
    double min,
    double max,
    long count,
    double sum,
    double sumOfSquares,
    double[] limits,
    long[] counts,
    long nonFinite) {
  private static final int BUCKETS = 64;

  public Histogram {
    if (limits.length != counts.length) {
      throw new IllegalArgumentException(
          "limits (%d) and counts (%d) must be as many".formatted(limits.length, counts.length));
    }
    for (int i = 1; i < limits.length; i++) {
      if (!(limits[i - 1] < limits[i])) {
        throw new IllegalArgumentException(
            "limits must ascend, but %s is followed by %s".formatted(limits[i - 1], limits[i]));
      }
    }
    if (Arrays.stream(counts).sum() != count) {
      throw new IllegalArgumentException(
          "counts (%d in all) must add up to count (%d)"
              .formatted(Arrays.stream(counts).sum(), count));
    }
    limits = limits.clone();
    counts = counts.clone();
  }

  /// 64 buckets of equal width from the least to the greatest value.
  public static Histogram of(float[] values) {
    var wide = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      wide[i] = values[i];
    }
    return of(wide);
  }

  /// 64 buckets of equal width from the least to the greatest value; one if all are the same, none
  /// if there are none.
  public static Histogram of(double[] values) {
    double min = Double.POSITIVE_INFINITY;
    double max = Double.NEGATIVE_INFINITY;
    double sum = 0;
    double squares = 0;
    int count = 0;
    for (double value : values) {
      if (Double.isFinite(value)) {
        min = Math.min(min, value);
        max = Math.max(max, value);
        sum += value;
        squares += value * value;
        count++;
      }
    }
    if (count == 0) {
      return new Histogram(0, 0, 0, 0, 0, new double[0], new long[0], values.length);
    }
    double[] limits = limits(min, max);
    var counts = new long[limits.length];
    for (double value : values) {
      if (Double.isFinite(value)) {
        int found = Arrays.binarySearch(limits, value);
        counts[found >= 0 ? found : -found - 1]++;
      }
    }
    return new Histogram(min, max, count, sum, squares, limits, counts, values.length - count);
  }

  private static double[] limits(double min, double max) {
    var limits = new double[BUCKETS];
    int used = 0;
    for (int i = 1; i < BUCKETS; i++) {
      double limit = min + (max / BUCKETS - min / BUCKETS) * i; // max - min could overflow
      if (limit < max && (used == 0 ? limit >= min : limit > limits[used - 1])) {
        limits[used++] = limit; // values a few bits apart leave fewer buckets
      }
    }
    limits[used++] = max;
    return Arrays.copyOf(limits, used);
  }

  @Override
  public double[] limits() {
    return limits.clone();
  }

  @Override
  public long[] counts() {
    return counts.clone();
  }
}
