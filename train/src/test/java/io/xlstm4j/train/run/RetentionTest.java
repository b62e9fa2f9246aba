package io.xlstm4j.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.train.config.CheckpointsConfig;
import io.xlstm4j.train.run.Retention.Kept;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The kept states that stay; steps 1 to 6, of which 2, 4, 5 and 6 were validated.
class RetentionTest {
  private static final List<Kept> ALL =
      List.of(
          new Kept(4, 0.5),
          new Kept(1, null),
          new Kept(6, 0.9),
          new Kept(2, 0.5),
          new Kept(3, null),
          new Kept(5, 0.7));

  private static List<Integer> staying(int last, int best, int every) {
    var config = new CheckpointsConfig(1, last, best, every);
    var doomed = Retention.doomed(ALL, config);
    return ALL.stream().map(Kept::step).filter(step -> !doomed.contains(step)).sorted().toList();
  }

  @ParameterizedTest(name = "last {0}, best {1}, every {2}")
  @CsvSource({
    "0, 0, 0, ''",
    "1, 0, 0, 6",
    "2, 0, 0, '5, 6'",
    "9, 0, 0, '1, 2, 3, 4, 5, 6'",
    "0, 1, 0, 2", // of equal losses the first
    "0, 2, 0, '2, 4'",
    "0, 3, 0, '2, 4, 5'",
    "0, 9, 0, '2, 4, 5, 6'", // one without a loss is not among the best
    "0, 0, 3, '3, 6'",
    "1, 1, 4, '2, 4, 6'"
  })
  void the_last_the_best_and_every_nth_stay(int last, int best, int every, String expected) {
    assertThat(staying(last, best, every).toString()).isEqualTo("[" + expected + "]");
  }

  @Test
  void the_state_before_the_first_step_is_one_of_every_nth() {
    var config = new CheckpointsConfig(1, 0, 0, 5);
    assertThat(Retention.doomed(List.of(new Kept(0, 2.0), new Kept(1, 1.0)), config))
        .containsExactly(1);
  }
}
