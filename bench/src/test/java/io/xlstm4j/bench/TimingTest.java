package io.xlstm4j.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class TimingTest {
  @Test
  void runs_as_often_as_it_says() {
    var runs = new AtomicInteger();
    Timing.Result result = new Timing(5, 1e-9, 0).measure(runs::incrementAndGet);
    assertThat(result.reps()).isEqualTo(5);
    assertThat(result.warmups()).isEqualTo(2);
    assertThat(runs).hasValue(7);
  }

  @Test
  void short_work_runs_more_often_until_the_time_is_filled() {
    Timing.Result result = new Timing(1, 0, 0.01).measure(() -> {});
    assertThat(result.reps()).isGreaterThan(1);
    assertThat(result.warmups()).isZero();
  }

  @Test
  void the_median_of_an_even_number_lies_between_the_middle_two() {
    assertThat(Timing.median(List.of(9.0, 1.0, 2.0))).isEqualTo(2);
    assertThat(Timing.median(List.of(9.0, 1.0, 2.0, 4.0))).isEqualTo(3);
  }

  @Test
  void refuses_to_time_nothing() {
    assertThatThrownBy(() -> new Timing(0, 1, 1)).hasMessage("reps (0) must be positive");
  }
}
