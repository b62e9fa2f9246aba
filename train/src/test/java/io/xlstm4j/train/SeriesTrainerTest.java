package io.xlstm4j.train;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.torch.SequenceCheckpoint;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.series.Forecaster;
import io.xlstm4j.train.series.Scale;
import io.xlstm4j.train.series.Scales;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SeriesTrainerTest {
  private static final Callback SILENT = new Callback() {};

  @TempDir private Path folder;

  /// Two waves of 120 rows, one ten times the other, and a class: whether the wave rises.
  private Path file() throws IOException {
    Path file = folder.resolve("waves.csv");
    var lines = new ArrayList<String>();
    lines.add("series,hour,level,rises");
    for (int t = 0; t < 120; t++) {
      double level = 5 + Math.sin(2 * Math.PI * t / 8);
      int rises = Math.cos(2 * Math.PI * t / 8) > 0 ? 1 : 0;
      lines.add("small,%d,%.4f,%d".formatted(t, level, rises));
      lines.add("large,%d,%.4f,%d".formatted(t, 10 * level, rises));
    }
    Files.write(file, lines);
    return file;
  }

  private RunConfig config(String... more) throws IOException {
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "model.model_type=xlstm_sequence",
            "model.num_blocks=2",
            "model.embedding_dim=16",
            "series.file=" + file(),
            "series.target_columns=[level]",
            "series.id_column=series",
            "series.time_column=hour",
            "series.context=12",
            "series.horizon=3",
            "training.steps=6",
            "training.batch_size=8",
            "schedule.warmup_steps=2",
            "validation.every=3",
            "checkpoints.every=2",
            "optimizer.ema_decay=0.9"));
    RunConfigFile.override(keys, List.of(more));
    return RunConfig.DEFAULT.with(keys, "test");
  }

  private Path train(String out, String... more) throws IOException {
    Path run = folder.resolve(out);
    try (var trainer = Trainer.start(config(more), run, SILENT)) {
      trainer.run(() -> false);
    }
    return run;
  }

  @Test
  void a_run_leaves_a_verified_model_with_its_scales() throws IOException {
    Path run = train("run");
    CheckpointFolder.verify(run);
    CheckpointFolder.verify(run.resolve("training"));
    Scales scales = Scales.read(run);
    assertThat(scales.config()).isEqualTo(config().series());
    assertThat(level(scales, "large").mean()).isEqualTo(50, within(0.1));
    assertThat(level(scales, "small").deviation()).isEqualTo(0.707, within(0.01));
    try (var model = SequenceCheckpoint.open(run, Torch.device("cpu"))) {
      assertThat(model.config().headWidth()).isEqualTo(9); // three steps of three quantiles
    }
  }

  private static Scale level(Scales scales, String series) {
    return requireNonNull(requireNonNull(scales.byId().get(series)).get("level"));
  }

  @Test
  void a_forecast_goes_on_in_the_unit_of_the_file() throws IOException {
    Path run =
        train(
            "run",
            "training.steps=80",
            "optimizer.learning_rate=0.01",
            "optimizer.ema_decay=0",
            "validation.every=40");
    try (var forecaster = Forecaster.open(run, "cpu")) {
      List<Forecaster.Forecast> forecasts =
          forecaster.forecast(folder.resolve("waves.csv")).forecasts();
      assertThat(forecasts).hasSize(6); // three steps of two series
      assertThat(forecasts.get(3).id()).isEqualTo("large");
      assertThat(forecasts.get(5).time()).isEqualTo("122"); // the third hour after 119
      assertThat(forecasts.get(3).values()[1]).isEqualTo(50, within(4.0)); // sin 0
      assertThat(forecasts.get(5).values()[1]).isEqualTo(60, within(4.0)); // sin of a quarter
      var comparison = forecaster.compare(folder.resolve("waves.csv"), 8);
      assertThat(comparison.windows()).isEqualTo(2 * 22);
      assertThat(comparison.seasonalNaive().get("mae")).isEqualTo(0, within(1e-9)); // no noise
      assertThat(comparison.model().get("mae")).isLessThan(1);
    }
  }

  @Test
  void training_lowers_the_loss_and_the_errors_of_a_wave() throws IOException {
    var config =
        config("training.steps=80", "optimizer.learning_rate=0.01", "optimizer.ema_decay=0");
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      var validation = trainer.run(() -> false).end().validation();
      assertThat(validation.loss()).isLessThan(0.08); // about 0.3 of a model that knows nothing
      assertThat(validation.measures())
          .containsOnlyKeys("mae", "rmse", "quantile_loss", "coverage");
      assertThat(validation.measures().get("mae")).isLessThan(1); // mean of |wave|: 3.5
    }
  }

  @Test
  void a_run_that_stopped_and_went_on_ends_with_the_bytes_of_one_that_never_stopped()
      throws IOException {
    Path whole = train("whole");
    Path cut = folder.resolve("cut");
    try (var trainer = Trainer.start(config(), cut, SILENT)) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == 3);
    }
    try (var trainer = Trainer.resume(cut, RunConfigFile.parse("", ""), SILENT)) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }
    for (String file : List.of("model", "optimizer", "average")) {
      assertThat(cut.resolve("training/" + file + ".safetensors"))
          .hasSameBinaryContentAs(whole.resolve("training/" + file + ".safetensors"));
    }
  }

  @Test
  void a_batch_in_parts_gives_the_loss_of_the_whole() throws IOException {
    List<Double> whole = losses("whole");
    List<Double> parts = losses("parts", "training.gradient_accumulation_steps=4");
    for (int i = 0; i < whole.size(); i++) {
      assertThat(parts.get(i)).isEqualTo(whole.get(i), within(1e-4)); // sums in another order
    }
  }

  private List<Double> losses(String out, String... more) throws IOException {
    var losses = new ArrayList<Double>();
    var listener =
        new Callback() {
          @Override
          public void onStep(Run run, Step step) {
            losses.add(step.loss());
          }
        };
    try (var trainer = Trainer.start(config(more), folder.resolve(out), listener)) {
      trainer.run(() -> false);
    }
    return losses;
  }

  @Test
  void classes_at_every_position_are_learnt_from_features() throws IOException {
    var config =
        config(
            "series.target_columns=[rises]",
            "series.feature_columns=[level]",
            "series.horizon=0",
            "series.pooling=every",
            "series.loss=cross_entropy",
            "series.classes=2",
            "training.steps=60",
            "optimizer.learning_rate=0.01",
            "optimizer.ema_decay=0");
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      var validation = trainer.run(() -> false).end().validation();
      assertThat(validation.measures().get("accuracy")).isGreaterThan(0.9);
    }
  }

  @Test
  void resuming_refuses_a_file_that_changed() throws IOException {
    Path run = train("run");
    Files.writeString(
        folder.resolve("waves.csv"), "small,500,1,1\n", java.nio.file.StandardOpenOption.APPEND);
    assertThatThrownBy(() -> Trainer.resume(run, RunConfigFile.parse("", ""), SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("series changed");
  }

  @Test
  void written_and_read_again_a_configuration_is_the_same() throws IOException {
    RunConfig config = config("series.scaling=window", "series.missing=mask");
    String yaml = RunConfigFile.toYaml(config);
    assertThat(yaml).doesNotContain("corpus").contains("model_type: xlstm_sequence");
    assertThat(RunConfig.DEFAULT.with(RunConfigFile.parse(yaml, "x"), "x")).isEqualTo(config);
  }

  @Test
  void what_is_wrong_is_said_with_its_key_and_value() {
    assertThatThrownBy(() -> config("series.target_columns=[]"))
        .hasMessageContaining("series.target_columns ([]) must name at least one column");
    assertThatThrownBy(() -> config("series.horizon=0"))
        .hasMessageContaining("series.feature_columns ([]) must name a column");
    assertThatThrownBy(() -> config("series.quantiles=[0.5, 0.1]"))
        .hasMessageContaining("series.quantiles ([0.5, 0.1]) must rise");
    assertThatThrownBy(() -> config("series.validation_fraction=0"))
        .hasMessageContaining("series.validation_fraction (0.0) must be positive");
    assertThatThrownBy(() -> config("model.context_length=5"))
        .hasMessageContaining("follows from series.context");
    assertThatThrownBy(() -> config("data.corpus=wordnet"))
        .hasMessageContaining("data is for language models");
    assertThatThrownBy(() -> train("long", "series.context=110"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("no training window of context (110) and horizon (3) fits");
    assertThatThrownBy(() -> train("column", "series.target_columns=[lvl]"))
        .hasMessageContaining("no column \"lvl\"");
    assertThat(folder.resolve("column")).doesNotExist();
  }
}
