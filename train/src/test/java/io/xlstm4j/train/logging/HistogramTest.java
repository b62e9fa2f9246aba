package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HistogramTest {
  @ParameterizedTest(name = "{0} values")
  @ValueSource(ints = {1, 2, 63, 64, 65, 1000})
  void every_value_is_in_the_bucket_whose_ends_enclose_it(int size) {
    double[] values = new Random(size).doubles(size, -3, 5).toArray();
    Histogram histogram = Histogram.of(values);
    double[] limits = histogram.limits();
    long below = 0;
    for (int i = 0; i < limits.length; i++) {
      double limit = limits[i];
      below += histogram.counts()[i];
      assertThat(Arrays.stream(values).filter(value -> value <= limit).count()).isEqualTo(below);
    }
    assertThat(below).isEqualTo(size);
    assertThat(histogram.min()).isEqualTo(Arrays.stream(values).min().orElseThrow());
    assertThat(histogram.max()).isEqualTo(limits[limits.length - 1]);
  }

  @Test
  void values_that_are_all_the_same_are_one_bucket() {
    Histogram histogram = Histogram.of(new float[] {2, 2, 2});
    assertThat(histogram.limits()).containsExactly(2);
    assertThat(histogram.counts()).containsExactly(3);
  }

  @Test
  void values_a_bit_apart_and_the_widest_range_keep_ascending_limits() {
    assertThat(Histogram.of(new double[] {1, Math.nextUp(1.0)}).counts()).containsExactly(1, 1);
    var widest = Histogram.of(new double[] {-Double.MAX_VALUE, 0, Double.MAX_VALUE});
    assertThat(widest.count()).isEqualTo(3);
    assertThat(widest.limits()).isSorted().doesNotContain(Double.POSITIVE_INFINITY);
  }

  @Test
  void what_is_not_finite_is_counted_apart() {
    var histogram = Histogram.of(new double[] {Double.NaN, Double.NEGATIVE_INFINITY, 1});
    assertThat(histogram.nonFinite()).isEqualTo(2);
    assertThat(histogram.count()).isEqualTo(1);
    assertThat(Histogram.of(new double[] {Double.NaN}).limits()).isEmpty();
  }
}
