package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.logging.RunStatus;
import io.xlstm4j.train.parallel.SingleProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// How runs end that learnt nothing or never began, and what is said of those that were resumed.
class RunEndsTest {
  @TempDir private Path folder;

  @Test
  void a_run_in_which_no_step_counted_fails_with_one_line() throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "training.steps=3",
            "training.max_nonfinite_steps=3",
            "validation.every=9");
    var poisons =
        new SynchronousCallback() {
          @Override
          public void onBoundary(LiveRun run) {
            if (run.state().step() == 0) { // after a validation that was finite
              assertThat(Weights.poison(run, Float.NaN)).isNotEmpty();
            }
          }
        };
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(poisons))) {
      assertThatThrownBy(() -> trainer.run(() -> false))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(
              "none of the 3 steps counted: each had a loss or a gradient that is not finite; lower optimizer.learning_rate (0.003) or look at the data");
    }
    assertThat(run.resolve("status.json")).content().contains("failed");
  }

  @Test
  void a_run_without_a_finite_validation_fails_with_one_line() throws IOException {
    var config = TinyRun.config(TinyRun.corpus(folder), "training.steps=2", "validation.every=9");
    var spoils = new SpoilsValidations();
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(spoils))) {
      spoils.before = Weights.poison(trainer.view(), Float.NaN);
      assertThatThrownBy(() -> trainer.run(() -> false))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageStartingWith("no validation in 2 steps was finite, so no model was stored; ");
    }
  }

  /// Lets a run have weights that are not finite in its two validations, but not in its steps.
  private static final class SpoilsValidations implements SynchronousCallback {
    private float[] before = new float[0];

    @Override
    public void onBoundary(LiveRun run) {
      if (run.state().step() == 0) {
        Weights.restore(run, before);
      }
    }

    @Override
    public void onStep(LiveRun run, Callback.Step step) {
      if (step.number() == 2) {
        before = Weights.poison(run, Float.NaN);
      }
    }
  }

  @Test
  void a_run_that_cannot_begin_leaves_none_of_the_folders_above_it() throws IOException {
    Path empty = Files.writeString(folder.resolve("empty.txt"), "");
    assertThatThrownBy(() -> Trainer.start(TinyRun.config(empty), folder.resolve("runs/a/b")))
        .hasMessageContaining("empty.txt");
    assertThat(folder.resolve("runs")).doesNotExist();
    Path other = folder.resolve("others");
    Files.createDirectories(other.resolve("one"));
    assertThatThrownBy(() -> Trainer.start(TinyRun.config(empty), other.resolve("two")))
        .hasMessageContaining("empty.txt");
    assertThat(other).isDirectoryContaining("glob:**/one").isDirectoryNotContaining("glob:**/two");
  }

  @Test
  void a_resumed_run_keeps_the_time_it_was_started_and_lists_its_resumes() throws IOException {
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(TinyRun.config(TinyRun.corpus(folder)), run)) {
      trainer.run(() -> true);
    }
    Path file = run.resolve("status.json");
    String early =
        Files.readString(file).replaceAll("\"started\" : \"20..", "\"started\" : \"2001");
    Files.writeString(file, early);
    for (int i = 0; i < 2; i++) {
      try (var trainer = Trainer.resume(run, RunConfigFile.parse("", "test"))) {
        trainer.run(() -> true);
      }
    }
    RunStatus status = Objects.requireNonNull(RunStatus.read(run));
    assertThat(status.started()).startsWith("2001-");
    assertThat(status.resumed()).hasSize(2).allMatch(time -> time.startsWith("20"));
    assertThat(run.resolve("report.html")).content().contains("started 2001-", "resumed 2 times");
    assertThat(run.resolve("samples.md"))
        .content()
        .startsWith("# Samples\n\nModel: ")
        .contains("Temperature ")
        .containsOnlyOnce("# Samples");
  }
}
