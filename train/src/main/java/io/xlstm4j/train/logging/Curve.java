package io.xlstm4j.train.logging;

import java.util.Arrays;

/// A number over steps in bounded memory: neighbouring values share a bucket that keeps their mean,
/// least and greatest. When all buckets are taken, pairs become one, and each holds twice as many.
/// Up to 1024 values therefore stay as they are. Values that are not finite are counted, not kept.
public final class Curve {
  static final int CAPACITY = 1024;

  private final double[] stepSums = new double[CAPACITY];
  private final double[] sums = new double[CAPACITY];
  private final double[] lows = new double[CAPACITY];
  private final double[] highs = new double[CAPACITY];
  private final int[] counts = new int[CAPACITY];
  private int used;
  private int perBucket = 1;

  private long count;
  private double sum;
  private double last = Double.NaN;
  private double least = Double.POSITIVE_INFINITY;
  private long leastStep = -1;
  private long nonFinite;
  private long firstNonFinite = -1;

  /// Takes the next value.
  void add(long step, double value) {
    if (!Double.isFinite(value)) {
      firstNonFinite = nonFinite++ == 0 ? step : firstNonFinite;
      return;
    }
    if (used == 0 || counts[used - 1] == perBucket) {
      if (used == CAPACITY) {
        mergePairs();
      }
      begin();
    }
    int at = used - 1;
    stepSums[at] += step;
    sums[at] += value;
    lows[at] = Math.min(lows[at], value);
    highs[at] = Math.max(highs[at], value);
    counts[at]++;
    count++;
    sum += value;
    last = value;
    if (value < least) {
      least = value;
      leastStep = step;
    }
  }

  private void begin() {
    stepSums[used] = 0;
    sums[used] = 0;
    lows[used] = Double.POSITIVE_INFINITY;
    highs[used] = Double.NEGATIVE_INFINITY;
    counts[used] = 0;
    used++;
  }

  private void mergePairs() {
    for (int i = 0; i < CAPACITY / 2; i++) {
      stepSums[i] = stepSums[2 * i] + stepSums[2 * i + 1];
      sums[i] = sums[2 * i] + sums[2 * i + 1];
      lows[i] = Math.min(lows[2 * i], lows[2 * i + 1]);
      highs[i] = Math.max(highs[2 * i], highs[2 * i + 1]);
      counts[i] = counts[2 * i] + counts[2 * i + 1];
    }
    used = CAPACITY / 2;
    perBucket *= 2;
  }

  /// Returns the number of buckets, at most 1024.
  public int size() {
    return used;
  }

  /// The mean step of a bucket.
  public double step(int bucket) {
    return stepSums[bucket] / counts[bucket];
  }

  /// The mean of a bucket.
  public double mean(int bucket) {
    return sums[bucket] / counts[bucket];
  }

  /// The least value of a bucket.
  public double low(int bucket) {
    return lows[bucket];
  }

  /// The greatest value of a bucket.
  public double high(int bucket) {
    return highs[bucket];
  }

  /// Returns the number of finite values.
  public long count() {
    return count;
  }

  /// The mean of all values; NaN if there are none.
  public double mean() {
    return sum / count;
  }

  /// The last value; NaN if there is none.
  public double last() {
    return last;
  }

  /// The least value; infinite if there is none.
  public double least() {
    return least;
  }

  /// The step of the least value; -1 if there is none.
  public long leastStep() {
    return leastStep;
  }

  /// Returns the number of values that were NaN or infinite.
  public long nonFinite() {
    return nonFinite;
  }

  /// The step of the first of them; -1 if there is none.
  public long firstNonFinite() {
    return firstNonFinite;
  }

  /// The means without their noise: the median of each and its neighbours, then the mean of these
  /// medians. A single spike leaves no trace. Neighbours are 2 % of the curve to either side, less
  /// near the ends so that both sides weigh the same and the line does not lag.
  public double[] smooth() {
    var medians = new double[used];
    for (int i = 0; i < used; i++) {
      int side = reach(i);
      var window = new double[2 * side + 1];
      for (int near = 0; near < window.length; near++) {
        window[near] = mean(i - side + near);
      }
      Arrays.sort(window);
      medians[i] = window[side];
    }
    var smooth = new double[used];
    for (int i = 0; i < used; i++) {
      int side = reach(i);
      double total = 0;
      for (int near = i - side; near <= i + side; near++) {
        total += medians[near];
      }
      smooth[i] = total / (2 * side + 1);
    }
    return smooth;
  }

  private int reach(int bucket) {
    int wanted = Math.max(used / 50, used > 10 ? 1 : 0);
    return Math.min(wanted, Math.min(bucket, used - 1 - bucket));
  }

  /// The value below which lie all bucket maxima but a `share` of them: an upper end for an axis
  /// that single spikes do not stretch.
  double highWithoutSpikes(double share) {
    double[] sorted = Arrays.copyOf(highs, used);
    Arrays.sort(sorted);
    return used == 0 ? Double.NaN : sorted[(int) ((used - 1) * (1 - share))];
  }
}
