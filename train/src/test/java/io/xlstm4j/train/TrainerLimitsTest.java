package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TrainerLimitsTest {
  @TempDir private Path folder;

  private Trainer.Result train(String out, String... keys) throws IOException {
    return train(out, new SynchronousCallback() {}, keys);
  }

  private Trainer.Result train(String out, SynchronousCallback hook, String... keys)
      throws IOException {
    Path run = folder.resolve(out);
    var config = TinyRun.config(TinyRun.corpus(folder), keys);
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(hook))) {
      return trainer.run(() -> false);
    }
  }

  private float[] weights(String out) {
    try (var file =
        SafetensorsFile.open(folder.resolve(out).resolve("training/model.safetensors"))) {
      return file.floats("xlstm_block_stack.blocks.0.xlstm.proj_up.weight");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "training.tokens=480, 5", // 4 rows of 24 tokens are 96 a step
    "training.tokens=481, 6",
    "training.steps=3, 3"
  })
  void a_run_ends_at_its_first_limit(String limit, int steps) throws IOException {
    var result = train("run", "training.steps=1000", limit);
    assertThat(result.steps()).isEqualTo(steps);
    assertThat(result.end().finished()).isTrue();
    assertThat(result.end().why()).isEqualTo("all steps are done");
  }

  @Test
  void a_run_of_some_epochs_takes_as_many_steps_as_they_have_batches() throws IOException {
    var config = TinyRun.config(TinyRun.corpus(folder), "training.steps=0", "training.epochs=0.1");
    try (var trainer = Trainer.start(config, folder.resolve("run"))) {
      double epoch = trainer.view().task().trainTokens() / 96.0; // 4 rows of 24 tokens
      assertThat(trainer.run(() -> false).steps()).isEqualTo((int) Math.ceil(0.1 * epoch));
    }
  }

  @Test
  void a_run_ends_when_its_time_is_over_and_that_counts_as_finished() throws IOException {
    var result = train("run", "training.steps=0", "training.minutes=0.01");
    assertThat(result.end().finished()).isTrue();
    assertThat(result.end().why()).isEqualTo("the time is over");
    assertThat(result.steps()).isPositive();
  }

  @Test
  void the_learning_rate_of_a_run_limited_by_time_alone_falls_to_its_end() throws IOException {
    var rates = new ArrayList<Double>();
    var collects =
        new SynchronousCallback() {
          @Override
          public void onStep(LiveRun run, Callback.Step step) {
            rates.add(step.learningRate());
          }
        };
    train(
        "run", collects, "training.steps=0", "training.minutes=0.03", "optimizer.learning_rate=1");
    assertThat(rates.getLast()).isLessThan(0.5);
  }

  @Test
  void a_stop_during_a_validation_ends_it_and_it_counts_for_nothing() throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "validation.tokens=0",
            "training.batch_size=1",
            "model.context_length=4"); // some hundred batches
    Path run = folder.resolve("run");
    var validated = new ArrayList<Integer>();
    var counts =
        new SynchronousCallback() {
          @Override
          public void onValidation(LiveRun live, Validation validation, boolean best) {
            validated.add(live.state().step());
          }
        };
    Thread trains = Thread.currentThread();
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(counts))) {
      Thread.ofPlatform()
          .daemon()
          .start(() -> {
            while (Stream.of(trains.getStackTrace())
                .noneMatch(frame -> frame.getMethodName().equals("advance"))) {
              Thread.onSpinWait();
            }
            trainer.view().stop("interrupted");
          });
      var result = trainer.run(() -> false);
      assertThat(result.steps()).isZero();
      assertThat(result.end().finished()).isFalse();
      assertThat(result.end().why()).isEqualTo("interrupted");
    }
    assertThat(validated).isEmpty();
    CheckpointFolder.verify(run.resolve("training"));
    try (var trainer =
        Trainer.resume(run, RunConfigFile.parse("", ""), new SingleProcess(), List.of(counts))) {
      assertThat(trainer.run(() -> false).end().finished()).isTrue();
    }
    assertThat(validated).containsExactly(3, 6);
  }

  @Test
  void a_run_ends_early_when_validations_bring_nothing() throws IOException {
    // a rate that moves nothing: no validation is better than the first
    var result =
        train(
            "run",
            "training.steps=1000",
            "optimizer.learning_rate=1e-30",
            "optimizer.weight_decay=0",
            "validation.every=2",
            "validation.patience=2");
    assertThat(result.end().why()).isEqualTo("no better validation for 3 in a row");
    assertThat(result.steps()).isEqualTo(6);
  }

  @Test
  void averaged_weights_are_what_is_validated_and_kept_as_the_best() throws IOException {
    train("run", "optimizer.ema_decay=0.9", "training.steps=6");
    Path run = folder.resolve("run");
    String name = "xlstm_block_stack.blocks.0.xlstm.proj_up.weight";
    try (var best = SafetensorsFile.open(run.resolve("model.safetensors"));
        var average = SafetensorsFile.open(run.resolve("training/average.safetensors"))) {
      assertThat(best.floats(name)).isEqualTo(average.floats("average." + name));
      assertThat(best.floats(name)).isNotEqualTo(weights("run"));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "optimizer.ema_decay=0.9",
    "training.gradient_accumulation_steps=2",
    "training.truncated_bptt=true"
  })
  void a_run_with_more_state_goes_on_bit_for_bit_too(String key) throws IOException {
    train("whole", key);
    Path cut = folder.resolve("cut");
    var config = TinyRun.config(TinyRun.corpus(folder), key);
    try (var trainer = Trainer.start(config, cut)) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == 3);
    }
    try (var trainer = Trainer.resume(cut, RunConfigFile.parse("", "test"))) {
      trainer.run(() -> false);
    }
    for (String file : List.of("training/model.safetensors", "model.safetensors")) {
      assertThat(cut.resolve(file)).hasSameBinaryContentAs(folder.resolve("whole").resolve(file));
    }
  }

  @Test
  void rows_that_go_on_with_their_state_learn_other_weights() throws IOException {
    train("fresh", "data.reset_at_documents=false");
    train("carried", "data.reset_at_documents=false", "training.truncated_bptt=true");
    assertThat(weights("carried")).isNotEqualTo(weights("fresh"));
  }

  @Test
  void states_are_kept_by_the_rules_and_each_can_be_verified() throws IOException {
    train(
        "run",
        "training.steps=9",
        "checkpoints.every=1",
        "checkpoints.keep_last=2",
        "checkpoints.keep_every=4");
    Path kept = folder.resolve("run/checkpoints");
    try (Stream<Path> folders = Files.list(kept)) {
      assertThat(folders.map(each -> each.getFileName().toString()).sorted())
          .containsExactly("step-0000000", "step-0000004", "step-0000008", "step-0000009");
    }
    CheckpointFolder.verify(kept.resolve("step-0000004"));
    assertThat(kept.resolve("step-0000009/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("run/training/model.safetensors"));
  }

  @Test
  void a_step_whose_gradient_is_not_finite_is_skipped_and_named() throws IOException {
    var skipped = new ArrayList<Callback.Skipped>();
    var steps = new ArrayList<Integer>();
    var breaksOnce =
        new SynchronousCallback() {
          private float[] kept = new float[0];

          @Override
          public void onStep(LiveRun run, Callback.Step step) {
            steps.add(step.number());
            if (step.number() == 2) {
              kept = Weights.poison(run, Float.NaN);
            }
          }

          @Override
          public void onSkipped(LiveRun run, Callback.Skipped what) {
            skipped.add(what);
            Weights.restore(run, kept);
          }
        };
    var result = train("run", breaksOnce, "validation.every=100");
    assertThat(result.steps()).isEqualTo(6);
    assertThat(steps).containsExactly(1, 2, 4, 5, 6);
    assertThat(skipped).hasSize(1);
    assertThat(skipped.getFirst().number()).isEqualTo(3);
    assertThat(skipped.getFirst().what()).isEqualTo("loss NaN");
    assertThat(skipped.getFirst().origin()).startsWith("batch 2, rows 0 to 3 of ");
  }

  @Test
  void a_hook_that_fails_ends_the_run_and_callbacks_receive_the_cause() throws IOException {
    var received = new ArrayList<String>();
    var fails =
        new SynchronousCallback() {
          @Override
          public void onValidation(LiveRun run, Validation validation, boolean best) {
            if (run.state().step() == 3) {
              throw new InvalidInputException("enough");
            }
          }
        };
    var listener =
        new Callback() {
          @Override
          public void onFailure(Run run, Throwable cause) {
            received.add(run.state().step() + " " + cause.getMessage());
          }
        };
    var config = TinyRun.config(TinyRun.corpus(folder));
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config, run, new SingleProcess(), List.of(fails), listener)) {
      assertThatThrownBy(() -> trainer.run(() -> false)).hasMessage("enough");
    }
    assertThat(received).containsExactly("3 enough");
    assertThat(run.resolve("status.json")).content().contains("failed", "enough");
  }

  @Test
  void a_model_learns_a_formal_language_and_counts_its_right_answers() throws IOException {
    var result =
        train(
            "run",
            "data.corpus=even_pairs:2-6",
            "data.validation=even_pairs:2-12",
            "data.num_validation_examples=64",
            "training.steps=60",
            "training.batch_size=16",
            "optimizer.learning_rate=0.01",
            "validation.every=60",
            "validation.tokens=0");
    assertThat(result.end().validation().measures().get("accuracy")).isGreaterThan(0.9);
  }

  @Test
  void documents_can_be_packed_whole_and_corpora_mixed() throws IOException {
    Path other =
        Files.writeString(folder.resolve("other.txt"), "a b c\n<|endoftext|>\n".repeat(99));
    var result =
        train(
            "run",
            "data.packing=documents",
            "model.context_length=32",
            "data.mix=[{corpus: " + other + ", weight: 0.5}]");
    assertThat(result.steps()).isEqualTo(6);
  }
}
