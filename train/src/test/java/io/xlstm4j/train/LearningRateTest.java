package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class LearningRateTest {
  @Test
  void grows_linearly_to_the_peak_and_falls_by_a_cosine_to_its_fraction() {
    var rate = new LearningRate(1.0, 0.1, 4, 104);
    assertThat(rate.at(0)).isEqualTo(0.25);
    assertThat(rate.at(1)).isEqualTo(0.5);
    assertThat(rate.at(3)).isEqualTo(1.0);
    assertThat(rate.at(4)).isEqualTo(1.0); // the cosine begins at the peak
    assertThat(rate.at(103)).isCloseTo(0.1, within(1e-12));
    assertThat(rate.at(4) - rate.at(5)).isLessThan(rate.at(53) - rate.at(54)); // steepest midway
    assertThat(new LearningRate(1.0, 0.1, 0, 101).at(50)).isCloseTo(0.55, within(1e-12));
  }

  @Test
  void a_run_of_one_step_has_a_rate() {
    assertThat(new LearningRate(1.0, 0.1, 0, 1).at(0)).isEqualTo(1.0);
    assertThat(new LearningRate(1.0, 0.1, 1, 1).at(0)).isEqualTo(1.0);
  }

  @Test
  void stays_at_the_end_value_past_the_last_step() {
    assertThat(new LearningRate(1.0, 0.1, 0, 10).at(50)).isCloseTo(0.1, within(1e-12));
  }
}
