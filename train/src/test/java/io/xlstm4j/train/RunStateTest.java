package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.task.Task;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The parts that a run keeps beside its weights: EMA weights, the count of updates, carried
/// states.
class RunStateTest {
  private static final int STEPS = 5;

  @TempDir private Path folder;

  private Path train(String out, String... keys) throws IOException {
    Path run = folder.resolve(out);
    try (var trainer = Trainer.start(TinyRun.config(TinyRun.corpus(folder), keys), run)) {
      trainer.run(() -> false);
    }
    return run;
  }

  @Test
  void ema_weights_take_in_the_weights_after_each_step_and_not_those_before_it()
      throws IOException {
    double decay = 0.75;
    Path run =
        train(
            "run",
            "optimizer.ema_decay=" + decay,
            "optimizer.learning_rate=0.01",
            "schedule.warmup_steps=0",
            "training.steps=" + STEPS,
            "checkpoints.every=1",
            "checkpoints.keep_every=1");
    for (String name : names(run.resolve("training/model.safetensors"))) {
      float[] expected = floats(state(run, 0).resolve("model.safetensors"), name);
      for (int step = 1; step <= STEPS; step++) {
        float[] weights = floats(state(run, step).resolve("model.safetensors"), name);
        float[] average =
            floats(state(run, step).resolve("average.safetensors"), "average." + name);
        for (int i = 0; i < weights.length; i++) {
          expected[i] = (float) (decay * expected[i] + (1 - decay) * weights[i]);
          assertThat(average[i])
              .as("%s after step %d", name, step)
              .isEqualTo(expected[i], within(1e-6f));
        }
      }
    }
  }

  private static Path state(Path run, int step) {
    return run.resolve("checkpoints/step-%07d".formatted(step));
  }

  private static List<String> names(Path file) {
    try (var stored = SafetensorsFile.open(file)) {
      return stored.tensors().values().stream().map(TensorInfo::name).toList();
    }
  }

  private static float[] floats(Path file, String name) {
    try (var stored = SafetensorsFile.open(file)) {
      return stored.floats(name);
    }
  }

  /// A step whose gradient is not finite moves no weight, so it does not count in the correction of
  /// the moments' bias either.
  @ParameterizedTest(name = "stopped after step {0}")
  @ValueSource(ints = {3, 5})
  void a_run_with_a_skipped_step_goes_on_bit_for_bit(int stop) throws IOException {
    Path whole = folder.resolve("whole");
    var config =
        TinyRun.config(TinyRun.corpus(folder), "optimizer.ema_decay=0.9", "validation.every=100");
    try (var trainer =
        Trainer.start(config, whole, new SingleProcess(), List.of(new BreaksStepThree()))) {
      trainer.run(() -> false);
    }
    Path cut = folder.resolve("cut");
    var breaks = new BreaksStepThree();
    try (var trainer = Trainer.start(config, cut, new SingleProcess(), List.of(breaks))) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == stop);
      assertThat(trainer.view().state().updates()).isEqualTo(stop - 1);
    }
    try (var trainer =
        Trainer.resume(
            cut, RunConfigFile.parse("", "test"), new SingleProcess(), List.of(breaks))) {
      trainer.run(() -> false);
      assertThat(trainer.view().state().updates()).isEqualTo(5);
    }
    for (String file : List.of("model", "optimizer", "average")) {
      String name = "training/" + file + ".safetensors";
      assertThat(cut.resolve(name)).hasSameBinaryContentAs(whole.resolve(name));
    }
  }

  /// Makes a weight NaN for the third step, which is skipped for it, and puts it back.
  private static final class BreaksStepThree implements SynchronousCallback {
    private float[] kept = new float[0];

    @Override
    public void onStep(LiveRun run, Callback.Step step) {
      if (step.number() == 2) {
        kept = Weights.poison(run, Float.NaN);
      }
    }

    @Override
    public void onSkipped(LiveRun run, Callback.Skipped what) {
      Weights.restore(run, kept);
    }
  }

  /// No weight is moved: the same batches have the same losses in every epoch.
  @ParameterizedTest(name = "documents reset: {0}")
  @ValueSource(booleans = {false, true})
  void carried_states_are_empty_again_at_the_beginning_of_every_epoch(boolean resets)
      throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "data.reset_at_documents=" + resets,
            "training.truncated_bptt=true",
            "model.dropout=0",
            "model.context_length=64",
            "training.batch_size=16");
    var losses = new ArrayList<Double>();
    int epoch;
    try (var trainer = Trainer.start(config, folder.resolve("run"))) {
      Task task = trainer.view().task();
      epoch = (int) Math.round(task.stepsPerEpoch());
      assertThat(epoch).isBetween(5, 20);
      for (int batch = 0; batch < 2 * epoch; batch++) {
        try (var _ = new PointerScope()) {
          losses.add(task.part(batch, 0, 16).lossSum().item_double());
        }
      }
    }
    assertThat(losses.subList(epoch, 2 * epoch)).isEqualTo(losses.subList(0, epoch));
  }

  @Test
  void nothing_is_dropped_while_a_run_validates() throws IOException {
    var config = TinyRun.config(TinyRun.corpus(folder), "model.dropout=0.5", "training.steps=1");
    try (var trainer = Trainer.start(config, folder.resolve("run"))) {
      trainer.run(() -> false);
      Task task = trainer.view().task();
      Task.Tally first = task.validate(0, Task.Shard.ALL);
      assertThat(task.validate(0, Task.Shard.ALL)).isEqualTo(first);
    }
  }
}
