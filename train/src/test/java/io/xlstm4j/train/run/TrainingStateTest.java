package io.xlstm4j.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.LinkedHashMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainingStateTest {
  private static final TrainingState FIRST = TrainingState.initial(1, new LinkedHashMap<>());

  @Test
  void a_skipped_step_is_a_step_with_its_tokens_but_no_update() {
    TrainingState state = FIRST.afterStep(true, 100, 1.5).afterStep(false, 100, 0.5);
    assertThat(state.step()).isEqualTo(2);
    assertThat(state.updates()).isEqualTo(1);
    assertThat(state.tokens()).isEqualTo(200);
    assertThat(state.seconds()).isEqualTo(2);
    assertThat(state.skippedInRow()).isEqualTo(1);
    assertThat(state.afterStep(false, 1, 0).skippedInRow()).isEqualTo(2);
    assertThat(state.afterStep(true, 1, 0).skippedInRow()).isZero();
    assertThat(state.afterStep(true, 1, 0).updates()).isEqualTo(2);
  }

  @Test
  void the_best_validation_is_the_lowest_and_patience_counts_from_it() {
    TrainingState state = FIRST.afterValidation(3, 1);
    assertThat(state.bestLoss()).isEqualTo(3);
    assertThat(state.validationsWithoutGain()).isZero();
    assertThat(state.seconds()).isEqualTo(1);
    state = state.afterStep(true, 1, 0).afterValidation(4, 0);
    assertThat(state.bestLoss()).isEqualTo(3);
    assertThat(state.validationLoss()).isEqualTo(4);
    assertThat(state.validationsWithoutGain()).isEqualTo(1);
    state = state.afterValidation(3, 0);
    assertThat(state.validationsWithoutGain()).as("an equal loss is no gain").isEqualTo(2);
    state = state.afterStep(true, 1, 0);
    assertThat(state.validationLoss()).as("of this very step").isNull();
    assertThat(state.validationsWithoutGain()).isEqualTo(2);
    state = state.afterValidation(2.5, 0);
    assertThat(state.bestLoss()).isEqualTo(2.5);
    assertThat(state.validationsWithoutGain()).isZero();
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY})
  void a_loss_that_is_not_finite_is_never_the_best(double loss) {
    assertThat(FIRST.isBest(loss)).isFalse();
    TrainingState state = FIRST.afterValidation(loss, 0);
    assertThat(state.bestLoss()).isNull();
    assertThat(state.validationLoss()).isNull();
    assertThat(state.validationsWithoutGain()).isEqualTo(1);
    assertThat(FIRST.afterValidation(5, 0).afterValidation(loss, 0).bestLoss()).isEqualTo(5);
  }

  @Test
  void another_number_of_processes_changes_nothing_else() {
    TrainingState state =
        FIRST.afterStep(true, 7, 1).afterValidation(2, 0.5).afterStep(false, 7, 1);
    TrainingState other = state.withProcesses(3);
    assertThat(other.processes()).isEqualTo(3);
    assertThat(other.withProcesses(1)).isEqualTo(state);
  }
}
