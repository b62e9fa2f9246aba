package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.parallel.SingleProcess;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainerTest {
  @TempDir private Path folder;

  private static final Callback SILENT = new Callback() {};

  private Path train(String out, String... keys) throws IOException {
    Path run = folder.resolve(out);
    try (var trainer = Trainer.start(TinyRun.config(TinyRun.corpus(folder), keys), run, SILENT)) {
      trainer.run(() -> false);
    }
    return run;
  }

  @Test
  void a_run_leaves_a_verified_model_its_metrics_a_picture_and_samples() throws IOException {
    Path run = train("run", "data.tokenizer=bpe", "data.vocab_size=280");

    CheckpointFolder.verify(run);
    CheckpointFolder.verify(run.resolve("training"));
    assertThat(run.resolve("config.json")).isRegularFile();
    assertThat(run.resolve("model.safetensors")).isRegularFile();
    assertThat(run.resolve("tokenizer.json")).isRegularFile();
    assertThat(run.resolve("run.yaml")).content().contains("batch_size: 4");
    List<String> metrics = Files.readAllLines(run.resolve("metrics.csv"));
    assertThat(metrics).hasSize(1 + 7); // header, steps 0 to 6
    assertThat(metrics.getFirst()).startsWith("step,train/loss,");
    assertThat(metrics.getLast()).startsWith("6,");
    assertThat(run.resolve("report.html")).isNotEmptyFile();
    assertThat(run.resolve("status.json")).content().contains("finished");
    var picture = ImageIO.read(run.resolve("loss.png").toFile());
    assertThat(picture.getWidth()).isGreaterThan(600);
    assertThat(run.resolve("samples.md"))
        .content()
        .contains("## Step 0", "## Step 3", "## Step 6", "**the cat**");
  }

  @Test
  void training_lowers_the_validation_loss() throws IOException {
    var losses = new ArrayList<Double>();
    var listener =
        new Callback() {
          @Override
          public void onValidation(Run run, Validation validation, boolean best) {
            losses.add(validation.loss());
          }
        };
    var config =
        TinyRun.config(TinyRun.corpus(folder), "training.steps=60", "optimizer.learning_rate=0.01");
    try (var trainer = Trainer.start(config, folder.resolve("run"), listener)) {
      var result = trainer.run(() -> false);
      assertThat(losses.getFirst()).isBetween(5.4, 5.7); // ln 257 = 5.55: nothing is known yet
      assertThat(result.end().validation().loss()).isLessThan(2.2);
      assertThat(result.end().validation().measures().get("bits_per_byte")).isLessThan(4);
    }
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"xlstm_paper", "xlstm"})
  void blocks_that_are_recomputed_train_to_the_same_weights_bit_for_bit(String family)
      throws IOException {
    Path corpus = TinyRun.corpus(folder);
    byte[][] weights = new byte[2][];
    for (boolean recompute : new boolean[] {false, true}) {
      String[] keys = {"backend=libtorch", "training.activation_checkpointing=" + recompute};
      var config = family.equals("xlstm") ? large(corpus, keys) : TinyRun.config(corpus, keys);
      Path run = folder.resolve(family + recompute);
      try (var trainer = Trainer.start(config, run, SILENT)) {
        trainer.run(() -> false);
      }
      weights[recompute ? 1 : 0] = Files.readAllBytes(run.resolve("model.safetensors"));
    }
    assertThat(weights[1]).isEqualTo(weights[0]);
  }

  @Test
  void a_run_in_bfloat16_learns_and_writes_float32() throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "backend=libtorch",
            "training.precision=bfloat16",
            "training.steps=40",
            "optimizer.learning_rate=0.01",
            "validation.every=40",
            "checkpoints.every=40");
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config, run, SILENT)) {
      var result = trainer.run(() -> false);
      assertThat(result.end().validation().loss()).isLessThan(3); // ln 257 = 5.55 at the start
    }
    try (var weights = SafetensorsFile.open(run.resolve("model.safetensors"))) {
      assertThat(weights.tensors().values()).allMatch(info -> info.dtype() == DType.F32);
    }
  }

  @Test
  void bfloat16_on_the_fused_kernels_is_refused_with_what_to_do() throws IOException {
    Path corpus = TinyRun.corpus(folder);
    assertThatThrownBy(() -> TinyRun.config(corpus, "backend=fused", "training.precision=bfloat16"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("needs backend libtorch or a GPU");
  }

  private static RunConfig large(Path corpus, String... more) {
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "data.corpus=" + corpus,
            "data.tokenizer=bytes",
            "model.model_type=xlstm",
            "model.num_blocks=2",
            "model.embedding_dim=32",
            "model.num_heads=2",
            "model.context_length=24",
            "training.steps=6",
            "training.batch_size=4",
            "schedule.warmup_steps=2",
            "validation.every=3",
            "validation.tokens=200",
            "checkpoints.every=2",
            "samples.prompts=[the cat]",
            "samples.max_tokens=8"));
    RunConfigFile.override(keys, List.of(more));
    return RunConfig.DEFAULT.with(keys, "test");
  }

  @Test
  void a_model_of_the_large_family_trains_and_is_read_again() throws IOException {
    var config =
        large(
            TinyRun.corpus(folder),
            "training.steps=60",
            "optimizer.learning_rate=0.01",
            "validation.every=60",
            "checkpoints.every=60");
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      var result = trainer.run(() -> false);
      assertThat(result.end().validation().loss()).isLessThan(2.2); // ln 257 = 5.55 at the start
    }
    var written = (LargeModelConfig) CheckpointConfig.read(folder.resolve("run")).model();
    assertThat(written.vocabSize()).isEqualTo(257);
    assertThat(written.bosTokenId()).isEqualTo(256);
    assertThat(written.eosTokenIds()).containsExactly(256);
  }

  @Test
  void a_run_of_the_large_family_goes_on_bit_for_bit() throws IOException {
    Path corpus = TinyRun.corpus(folder);
    Path whole = folder.resolve("whole");
    Path cut = folder.resolve("cut");
    try (var trainer = Trainer.start(large(corpus), whole, SILENT)) {
      trainer.run(() -> false);
    }
    try (var trainer = Trainer.start(large(corpus), cut, SILENT)) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == 3);
    }
    try (var trainer = Trainer.resume(cut, nothing(), SILENT)) {
      trainer.run(() -> false);
    }
    assertThat(cut.resolve("training/model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("training/model.safetensors"));
  }

  @Test
  void a_run_that_stopped_and_went_on_ends_with_the_bytes_of_one_that_never_stopped()
      throws IOException {
    Path whole = train("whole");

    Path cut = folder.resolve("cut");
    var config = TinyRun.config(TinyRun.corpus(folder));
    try (var trainer = Trainer.start(config, cut, SILENT)) {
      var asked = new AtomicInteger();
      var result = trainer.run(() -> asked.incrementAndGet() == 3);
      assertThat(result.end().finished()).isFalse();
      assertThat(result.steps()).isEqualTo(3);
    }
    try (var trainer = Trainer.resume(cut, nothing(), SILENT)) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }

    assertThat(cut.resolve("training/model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("training/model.safetensors"));
    assertThat(cut.resolve("training/optimizer.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("training/optimizer.safetensors"));
    assertThat(cut.resolve("samples.md")).hasSameTextualContentAs(whole.resolve("samples.md"));
    assertThat(losses(cut)).isEqualTo(losses(whole));
  }

  @Test
  void a_run_that_was_killed_goes_on_from_its_last_saved_state() throws IOException {
    Path whole = train("whole");

    Path killed = folder.resolve("killed");
    var config = TinyRun.config(TinyRun.corpus(folder));
    var dies =
        new SynchronousCallback() {
          @Override
          public void onStep(LiveRun run, Callback.Step step) {
            if (step.number() == 5) {
              throw new IllegalStateException("killed"); // one step after the state of step 4
            }
          }
        };
    try (var trainer = Trainer.start(config, killed, new SingleProcess(), List.of(dies))) {
      assertThatThrownBy(() -> trainer.run(() -> false)).hasMessage("killed");
    }
    try (var trainer = Trainer.resume(killed, nothing(), SILENT)) {
      trainer.run(() -> false);
    }

    assertThat(killed.resolve("training/model.safetensors"))
        .hasSameBinaryContentAs(whole.resolve("training/model.safetensors"));
    assertThat(losses(killed)).isEqualTo(losses(whole));
  }

  @Test
  void a_finished_run_goes_on_when_it_is_given_more_steps() throws IOException {
    Path run = train("run");
    ObjectNode more = RunConfigFile.parse("training: {steps: 8}", "test");
    try (var trainer = Trainer.resume(run, more, SILENT)) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(8);
    }
  }

  @Test
  void resuming_refuses_another_model_by_name_and_both_values() throws IOException {
    Path run = train("run");
    ObjectNode other = RunConfigFile.parse("model: {num_blocks: 3}", "test");
    assertThatThrownBy(() -> Trainer.resume(run, other, SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "--resume: model.num_blocks was 2 in this run, now it is 3; start a new run for that");
  }

  @Test
  void resuming_refuses_a_corpus_that_changed() throws IOException {
    Path run = train("run");
    Files.writeString(folder.resolve("tiny.txt"), "something else\n<|endoftext|>\nentirely\n");
    assertThatThrownBy(() -> Trainer.resume(run, nothing(), SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("training data and tokenizer changed");
  }

  @Test
  void resuming_refuses_a_damaged_state() throws IOException {
    Path run = train("run");
    Path weights = run.resolve("training/model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length - 1] ^= 1;
    Files.write(weights, bytes);
    assertThatThrownBy(() -> Trainer.resume(run, nothing(), SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining("SHA-256");
  }

  @Test
  void a_folder_with_something_in_it_is_left_alone() throws IOException {
    Path taken = Files.createDirectory(folder.resolve("taken"));
    Files.writeString(taken.resolve("thesis.txt"), "precious");
    var config = TinyRun.config(TinyRun.corpus(folder));
    assertThatThrownBy(() -> Trainer.start(config, taken, SILENT))
        .hasMessageContaining("not empty")
        .hasMessageContaining("--resume");
    assertThat(taken.resolve("thesis.txt")).hasContent("precious");
  }

  @Test
  void a_run_that_cannot_begin_leaves_no_folder() throws IOException {
    Path empty = Files.writeString(folder.resolve("empty.txt"), "");
    Path run = folder.resolve("run");
    assertThatThrownBy(() -> Trainer.start(TinyRun.config(empty), run, SILENT))
        .hasMessageContaining("empty.txt");
    assertThat(run).doesNotExist();
  }

  @Test
  void a_loss_that_explodes_stops_the_run_and_says_what_to_do() throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(folder),
            "optimizer.learning_rate=1e30",
            "schedule.warmup_steps=0",
            "optimizer.clip_norm=0");
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      assertThatThrownBy(() -> trainer.run(() -> false))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageContaining("4 steps in a row were not finite, the last of them step 5")
          .hasMessageContaining("optimizer.learning_rate (1.0E30)");
    }
  }

  private static List<String> losses(Path run) throws IOException {
    return Files.readAllLines(run.resolve("metrics.csv")).stream()
        .map(line -> line.split(",", -1))
        .map(cells -> cells[0] + " " + cells[1] + " " + cells[7]) // not the time it took
        .toList();
  }

  private static ObjectNode nothing() {
    return RunConfigFile.parse("", "test");
  }
}
