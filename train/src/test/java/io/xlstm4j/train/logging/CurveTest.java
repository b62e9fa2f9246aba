package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CurveTest {
  @ParameterizedTest(name = "{0} values")
  @ValueSource(ints = {1, 2, 1023, 1024, 1025, 2048, 2049, 100_000})
  void buckets_keep_every_extreme_and_the_mean(int size) {
    var random = new Random(size);
    var curve = new Curve();
    var values = new double[size];
    double sum = 0;
    for (int i = 0; i < size; i++) {
      values[i] = random.nextGaussian();
      sum += values[i];
      curve.add(i, values[i]);
    }
    int per = 1;
    while (per * Curve.CAPACITY < size) {
      per *= 2;
    }
    assertThat(curve.size()).isEqualTo((size + per - 1) / per);
    for (int bucket = 0; bucket < curve.size(); bucket++) {
      int from = bucket * per;
      int to = Math.min(size, from + per);
      double low = Double.POSITIVE_INFINITY;
      double high = Double.NEGATIVE_INFINITY;
      double total = 0;
      for (int i = from; i < to; i++) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
        total += values[i];
      }
      assertThat(curve.low(bucket)).isEqualTo(low);
      assertThat(curve.high(bucket)).isEqualTo(high);
      assertThat(curve.mean(bucket)).isCloseTo(total / (to - from), within(1e-9)); // order of sums
      assertThat(curve.step(bucket)).isEqualTo((from + to - 1) / 2.0);
    }
    assertThat(curve.count()).isEqualTo(size);
    assertThat(curve.last()).isEqualTo(values[size - 1]);
    assertThat(curve.mean()).isCloseTo(sum / size, within(1e-9));
  }

  @Test
  void what_is_not_finite_is_counted_and_leaves_the_curve_alone() {
    var curve = new Curve();
    curve.add(1, 5);
    curve.add(2, Double.NaN);
    curve.add(3, Double.POSITIVE_INFINITY);
    curve.add(4, 3);
    assertThat(curve.size()).isEqualTo(2);
    assertThat(curve.nonFinite()).isEqualTo(2);
    assertThat(curve.firstNonFinite()).isEqualTo(2);
    assertThat(curve.least()).isEqualTo(3);
    assertThat(curve.leastStep()).isEqualTo(4);
  }

  @Test
  void smoothing_keeps_a_straight_line_and_both_ends() {
    var curve = new Curve();
    for (int i = 0; i < 300; i++) {
      curve.add(i, 2.0 * i);
    }
    double[] smooth = curve.smooth();
    for (int i = 0; i < 300; i++) {
      assertThat(smooth[i]).isCloseTo(2.0 * i, within(1e-9)); // differences of sums up to 9e4
    }
  }
}
