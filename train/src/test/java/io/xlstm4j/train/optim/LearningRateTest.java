package io.xlstm4j.train.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.train.config.ScheduleConfig;
import io.xlstm4j.train.config.ScheduleConfig.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class LearningRateTest {
  private static LearningRate rate(
      Kind kind, int warmup, double end, int cooldown, double cooldownEnd, int steps) {
    return new LearningRate(
        1.0, new ScheduleConfig(kind, warmup, end, cooldown, cooldownEnd), steps);
  }

  @Test
  void grows_linearly_to_the_peak_and_falls_by_a_cosine_to_its_fraction() {
    var rate = rate(Kind.COSINE, 4, 0.1, 0, 0, 104);
    assertThat(rate.at(0)).isEqualTo(0.25);
    assertThat(rate.at(1)).isEqualTo(0.5);
    assertThat(rate.at(3)).isEqualTo(1.0);
    assertThat(rate.at(4)).isEqualTo(1.0); // the cosine begins at the peak
    for (int t = 4; t < 104; t++) {
      double closed = 0.1 + 0.9 * 0.5 * (1 + Math.cos(Math.PI * (t - 4) / 99.0));
      assertThat(rate.at(t)).isCloseTo(closed, within(1e-15));
    }
    assertThat(rate.at(103)).isCloseTo(0.1, within(1e-15));
  }

  @Test
  void a_line_and_an_exponential_have_their_closed_form_and_end_at_the_fraction() {
    var line = rate(Kind.LINEAR, 0, 0.2, 0, 0, 11);
    var power = rate(Kind.EXPONENTIAL, 0, 0.01, 0, 0, 11);
    for (int t = 0; t < 11; t++) {
      assertThat(line.at(t)).isCloseTo(1 - 0.08 * t, within(1e-15));
      assertThat(power.at(t)).isCloseTo(Math.pow(0.01, t / 10.0), within(1e-15));
    }
  }

  @Test
  void in_a_run_limited_by_time_it_falls_with_the_time_at_the_pace_so_far() {
    var rate = rate(Kind.LINEAR, 10, 0.1, 0, 0, Integer.MAX_VALUE);
    assertThat(rate.at(0, 0)).isCloseTo(0.1, within(1e-15)); // the warm-up is of steps
    assertThat(rate.at(100, 0.5)).isEqualTo(rate(Kind.LINEAR, 10, 0.1, 0, 0, 200).at(100));
    assertThat(rate.at(199, 0.9999)).isCloseTo(0.1, within(1e-2));
    assertThat(rate.at(400, 1.7)).isCloseTo(0.1, within(1e-15));
  }

  @Test
  void a_constant_one_stays_at_the_peak() {
    var rate = rate(Kind.CONSTANT, 2, 0.5, 0, 0, 10);
    assertThat(rate.at(1)).isEqualTo(1);
    assertThat(rate.at(9)).isEqualTo(1);
    assertThat(rate.at(99)).isEqualTo(1);
  }

  @Test
  void warmup_stable_decay_falls_in_its_last_steps_only() {
    var rate = rate(Kind.WSD, 5, 0.5, 4, 0.2, 20);
    assertThat(rate.at(4)).isEqualTo(1);
    assertThat(rate.at(15)).isEqualTo(1);
    assertThat(rate.at(16)).isCloseTo(0.8, within(1e-15));
    assertThat(rate.at(17)).isCloseTo(0.6, within(1e-15));
    assertThat(rate.at(18)).isCloseTo(0.4, within(1e-15));
    assertThat(rate.at(19)).isCloseTo(0.2, within(1e-15));
  }

  @Test
  void a_cooldown_goes_on_from_where_the_main_part_ends() {
    // the recipe of the 7B model in small: exponential to a tenth, then a line to zero
    var rate = rate(Kind.EXPONENTIAL, 10, 0.1, 5, 0, 115);
    for (int t = 10; t < 110; t++) {
      assertThat(rate.at(t)).isCloseTo(Math.pow(0.1, (t - 10) / 100.0), within(1e-15));
    }
    for (int t = 110; t < 115; t++) {
      assertThat(rate.at(t)).isCloseTo(0.1 * (1 - (t - 109) / 5.0), within(1e-15));
    }
  }

  @ParameterizedTest
  @EnumSource(Kind.class)
  void any_schedule_stands_runs_that_are_shorter_than_its_parts(Kind kind) {
    for (int steps = 1; steps < 12; steps++) {
      var rate = rate(kind, 3, 0.5, 4, 0.1, steps);
      for (int t = 0; t < steps + 3; t++) {
        assertThat(rate.at(t)).isFinite().isBetween(0.0999, 1.0);
      }
    }
  }

  @Test
  void a_run_too_short_for_its_cool_down_falls_to_the_end_value_in_the_steps_it_has() {
    var rate = rate(Kind.COSINE, 3, 0.5, 10, 0.2, 7); // four steps of cool-down, no main part
    assertThat(rate.at(2)).isEqualTo(1);
    for (int t = 3; t < 7; t++) {
      assertThat(rate.at(t)).isCloseTo(1 - 0.2 * (t - 2), within(1e-15));
    }
    assertThat(rate(Kind.COSINE, 9, 0.5, 10, 0.2, 3).at(2)).as("all of it warm-up").isEqualTo(1);
  }

  @Test
  void stays_at_the_end_value_past_the_last_step() {
    assertThat(rate(Kind.COSINE, 0, 0.1, 0, 0, 10).at(50)).isCloseTo(0.1, within(1e-12));
  }
}
