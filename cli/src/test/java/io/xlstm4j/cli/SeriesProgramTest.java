package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The program with a model of series, from training to forecasts.
class SeriesProgramTest {
  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path waves;
  private static Path config;
  private static Path model;
  private static CommandLineRun training;

  @BeforeAll
  static void train_a_tiny_model() throws IOException {
    waves = Files.write(shared.resolve("waves.csv"), rows("level", 96, 0));
    config =
        Files.writeString(
            shared.resolve("series.yaml"),
            """
            model: {model_type: xlstm_sequence, num_blocks: 2, embedding_dim: 16}
            series:
              file: %s
              target_columns: [level]
              id_column: series
              time_column: hour
              context: 12
              horizon: 3
            training: {steps: 30, batch_size: 8}
            optimizer: {learning_rate: 0.01}
            validation: {every: 10}
            """
                .formatted(waves));
    model = shared.resolve("model");
    training = train(config, model);
  }

  private static CommandLineRun train(Path config, Path out, String... more) {
    var all =
        new ArrayList<>(List.of("train", "--config", config.toString(), "--out", out.toString()));
    all.addAll(List.of(more));
    return CommandLineRun.of(all.toArray(String[]::new));
  }

  /// Two waves, one ten times the other.
  private static List<String> rows(String column, int hours, int from) {
    var lines = new ArrayList<>(List.of("series,hour," + column));
    for (int t = from; t < from + hours; t++) {
      double level = 5 + Math.sin(2 * Math.PI * t / 8);
      lines.add("small,%d,%.4f".formatted(t, level));
      lines.add("\"large, too\",%d,%.4f".formatted(t, 10 * level));
    }
    return lines;
  }

  private CommandLineRun forecast(Path data, String... more) {
    return forecast(model, data, more);
  }

  private static CommandLineRun forecast(Path of, Path data, String... more) {
    var all =
        new ArrayList<>(List.of("forecast", "--model", of.toString(), "--data", data.toString()));
    all.addAll(List.of(more));
    return CommandLineRun.of(all.toArray(String[]::new));
  }

  private Path file(String name, List<String> lines) throws IOException {
    return Files.write(folder.resolve(name), lines);
  }

  private static void assertRefused(CommandLineRun run, int code, String... parts) {
    assertThat(run.err()).contains(parts);
    assertThat(run.code()).isEqualTo(code);
    assertThat(run.out()).isEmpty();
    assertThat(run.err().lines().filter(line -> line.startsWith("xlstm: "))).hasSize(1);
    assertThat(run.err()).doesNotContain("\tat ").doesNotContain("not a mistake of yours");
  }

  private static void assertIsSound(CommandLineRun run) {
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
  }

  // ---- train

  @Test
  void training_counts_windows_and_ends_with_the_next_command() {
    assertIsSound(training);
    assertThat(training.out())
        .contains("waves.csv: 126 windows to train on, 34 to validate; 30 steps of 8 windows")
        .contains("done after step 30", " mae ", " coverage ")
        .contains("xlstm forecast --model " + model + " --data " + waves)
        .doesNotContain("token");
  }

  @Test
  void a_dry_run_counts_windows_too() {
    var run = CommandLineRun.of("train", "--config", config.toString(), "--dry-run");
    assertIsSound(run);
    assertThat(run.out())
        .contains("waves.csv: 126 windows to train on, 34 to validate")
        .contains("8 windows in 8 sequences")
        .doesNotContain("token");
  }

  @Test
  void data_names_another_file_of_series() throws IOException {
    Path other = file("other.csv", rows("level", 60, 0));
    var run = train(config, folder.resolve("run"), "--data", other.toString(), "--steps", "2");
    assertIsSound(run);
    assertThat(run.out()).contains("other.csv: ");
    assertThat(folder.resolve("run/run.yaml")).content().contains("file: " + other);
    assertRefused(
        CommandLineRun.of(
            "train",
            "--resume",
            "--out",
            folder.resolve("run").toString(),
            "--data",
            waves.toString()),
        1,
        "--resume: series.file was",
        "start a new run for that");
  }

  @Test
  void keys_of_language_models_are_refused() {
    assertRefused(
        train(config, folder.resolve("run"), "data.tokenizer=bytes"),
        2,
        "data is for language models");
    assertRefused(
        train(config, folder.resolve("run"), "--from", model.toString()),
        1,
        "is a model of series; only language models can be started from");
  }

  // ---- forecast

  @Test
  void forecast_gives_every_step_of_every_series_with_its_quantiles_in_order() {
    var run = forecast(waves);
    assertIsSound(run);
    List<String> lines = run.out().lines().toList();
    assertThat(lines.getFirst()).isEqualTo("series,time,step,column,0.1,0.5,0.9");
    assertThat(lines).hasSize(1 + 2 * 3);
    for (int i = 0; i < 6; i++) {
      String line = lines.get(1 + i);
      String id = i < 3 ? "small" : "\"large, too\"";
      assertThat(line).startsWith(id + "," + (96 + i % 3) + "," + (1 + i % 3) + ",level,");
      double[] quantiles =
          Arrays.stream(line.substring(line.indexOf(",level,") + 7).split(",", -1))
              .mapToDouble(Double::parseDouble)
              .toArray();
      assertThat(quantiles).hasSize(3).isSorted();
      double unit = i < 3 ? 1 : 10; // the wave lies between 4 and 6 times that
      assertThat(quantiles[1]).isCloseTo(5 * unit, within(2 * unit));
    }
  }

  @Test
  void forecast_compares_with_the_season_before() {
    var run = forecast(waves, "--compare-season", "8");
    assertIsSound(run);
    assertThat(run.out().lines()).hasSize(3);
    assertThat(run.out())
        .contains("windows=34  targets=102  skipped=0", "model  ", "seasonal naive  ", "coverage=");
    // the waves repeat themselves exactly, but for the rounding of the file
    String mae = run.out().replaceAll("(?s).*seasonal naive +mae=(\\S+) .*", "$1");
    assertThat(Double.parseDouble(mae)).isLessThan(5e-5);
    assertRefused(
        forecast(waves, "--compare-season", "13"),
        1,
        "season (13) must be in [1, 12], the model's series.context");
  }

  @Test
  void forecast_refuses_a_file_without_the_column() throws IOException {
    Path wrong = file("wrong.csv", rows("lvl", 20, 0));
    assertRefused(forecast(wrong), 1, "wrong.csv: no column \"level\"; there are [series, hour");
  }

  @Test
  void forecast_refuses_a_missing_value_with_its_line_and_what_to_do() throws IOException {
    List<String> lines = rows("level", 20, 0);
    lines.set(4, "small,99,");
    assertRefused(
        forecast(file("hole.csv", lines)),
        1,
        "hole.csv: line 5: column level has no value; fill it in, or set series.missing: mask");
  }

  @Test
  void forecast_of_a_model_that_masks_missing_values_takes_them() throws IOException {
    Path masking = folder.resolve("masking");
    assertIsSound(train(config, masking, "series.missing=mask", "--steps", "2"));
    List<String> lines = rows("level", 20, 0);
    lines.set(4, "\"large, too\",1,NaN");
    lines.set(6, "\"large, too\",2,");
    var run = forecast(masking, file("holes.csv", lines));
    assertIsSound(run);
    assertThat(run.out().lines()).hasSize(1 + 2 * 3);
    assertThat(run.out()).doesNotContain("NaN");
  }

  @Test
  void forecast_of_fewer_rows_than_the_context_reads_those_and_of_none_is_refused()
      throws IOException {
    var few = forecast(file("few.csv", rows("level", 2, 0)));
    assertIsSound(few);
    assertThat(few.out().lines()).hasSize(1 + 2 * 3);
    assertRefused(
        forecast(file("none.csv", rows("level", 0, 0))), 1, "none.csv: no rows under the header");
    assertRefused(
        forecast(file("short.csv", rows("level", 5, 0)), "--compare-season", "8"),
        1,
        "short.csv: no validation window of context (12) and horizon (3) fits; the longest series"
            + " has 5 rows");
  }

  @Test
  void forecast_refuses_wrong_usage_and_what_is_no_model_of_series() throws IOException {
    assertRefused(CommandLineRun.of("forecast", "--data", waves.toString()), 2, "--model");
    assertRefused(forecast(folder.resolve("none.csv")), 1, "none.csv: no such file");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertRefused(forecast(empty, waves), 1, "empty: no series.json here");
    Path nowhere = folder.resolve("nosuch");
    assertRefused(forecast(nowhere, waves), 1, nowhere + ": no such folder");
    assertRefused(forecast(waves, waves), 1, waves + ": not a folder");
  }

  @Test
  void forecast_loses_nothing_of_its_numbers_and_repeats_no_empty_column() throws IOException {
    Path one = file("one.csv", List.of("day,y", "2026-01-30,1e-9", "2026-01-31,2e-9"));
    Path folderOfModel = folder.resolve("plain");
    var rows = new ArrayList<>(List.of("day,y"));
    for (int day = 1; day <= 31; day++) {
      rows.add("2026-01-%02d,%se-9".formatted(day, day % 3 + 1));
    }
    assertIsSound(
        CommandLineRun.of(
            "train",
            "--data",
            file("days.csv", rows).toString(),
            "--out",
            folderOfModel.toString(),
            "--steps",
            "2",
            "series.target_columns=[y]",
            "series.time_column=day",
            "series.context=4",
            "series.horizon=2",
            "model.num_blocks=1",
            "model.embedding_dim=8",
            "model.slstm_at=[]",
            "training.batch_size=4"));
    var run = forecast(folderOfModel, one);
    assertIsSound(run);
    List<String> lines = run.out().lines().toList();
    assertThat(lines.getFirst()).isEqualTo("time,step,column,0.1,0.5,0.9");
    assertThat(lines.get(1)).startsWith("2026-02-01,1,y,");
    assertThat(lines.get(2)).startsWith("2026-02-02,2,y,").containsPattern("\\d\\.\\d{10,}E-9");
  }

  @Test
  void forecast_compares_on_what_is_there_and_says_what_it_skipped() throws IOException {
    Path masking = folder.resolve("masking");
    assertIsSound(train(config, masking, "series.missing=mask", "--steps", "2"));
    List<String> lines = rows("level", 96, 0);
    lines.replaceAll(line ->
        line.matches("small,(7[02468]|8[0369]),.*") ? line.replaceAll(",[^,]*$", ",") : line);
    Path holes = file("holes.csv", lines);
    var run = forecast(masking, holes, "--compare-season", "8");
    assertIsSound(run);
    assertThat(run.out())
        .doesNotContain("NaN")
        .containsPattern("targets=\\d+  skipped=[1-9]\\d* \\(targets without a value 8 rows")
        .containsPattern("seasonal naive +mae=\\d");
    var eval = CommandLineRun.of("eval", "--model", masking.toString(), "--data", holes.toString());
    assertIsSound(eval);
    assertThat(eval.out()).doesNotContain("NaN");
  }

  // ---- eval

  @Test
  void eval_gives_the_errors_of_the_validation_part_as_training_does() {
    var run = CommandLineRun.of("eval", "--model", model.toString(), "--data", waves.toString());
    assertIsSound(run);
    assertThat(run.out())
        .containsPattern("loss +\\d+\\.\\d{4} quantile, scaled\n")
        .containsPattern("MAE +\\d")
        .containsPattern("MSE +\\d")
        .containsPattern("RMSE +\\d")
        .containsPattern("quantile loss +\\d")
        .containsPattern("coverage +[01]")
        .containsPattern("windows +34\n")
        .containsPattern("targets +102\n");
    String loss = run.out().lines().findFirst().orElseThrow().split(" +", -1)[1];
    assertThat(training.out())
        .contains("best model, on all validation data: validation loss " + loss);
  }

  @Test
  void eval_measures_the_part_that_was_trained_on_if_asked() {
    var run =
        CommandLineRun.of(
            "eval", "--model", model.toString(), "--data", waves.toString(), "--split", "TRAIN");
    assertIsSound(run);
    assertThat(run.out()).containsPattern("windows +126\n");
  }

  @Test
  void eval_refuses_what_is_of_language_models_and_files_that_do_not_fit() throws IOException {
    String[] eval = {"eval", "--model", model.toString(), "--data", waves.toString()};
    for (String option : List.of("--carry-state", "--max-tokens=5")) {
      String[] all = Arrays.copyOf(eval, eval.length + 1);
      all[eval.length] = option;
      assertRefused(CommandLineRun.of(all), 2, option.split("=", -1)[0], "is a model of series");
    }
    assertRefused(
        CommandLineRun.of("eval", "--model", model.toString(), "--data", "wordnet"),
        1,
        "wordnet: no such file");
    Path small = file("small.csv", rows("level", 5, 0));
    assertRefused(
        CommandLineRun.of("eval", "--model", model.toString(), "--data", small.toString()),
        1,
        "small.csv: no validation window of context (12) and horizon (3) fits");
  }

  // ---- the other commands

  @Test
  void inspect_shows_architecture_head_columns_and_parameters() {
    var run = CommandLineRun.of("inspect", model.toString(), "--tensors");
    assertIsSound(run);
    assertThat(run.out())
        .contains("xLSTM for series", "2: 1 mLSTM, 1 sLSTM at [1]")
        .contains("width       16", "context     12 rows in training", "horizon     3 rows")
        .contains("targets     level", "columns     level read", "time        hour")
        .contains("3 targets, each with quantiles [0.1, 0.5, 0.9]; pooling last")
        .containsPattern("parameters +\\d+,\\d{3}\n")
        .contains("[9, 16]", "head.weight");
    String parameters = run.out().replaceAll("(?s).*parameters +([\\d,]+)\n.*", "$1");
    assertThat(training.out()).contains(parameters + " parameters: ");
    assertThat(run.out()).contains("  F32       " + parameters + " numbers");
  }

  @Test
  void inspect_finds_a_damaged_folder_of_series() throws IOException {
    Path copy = Files.createDirectory(folder.resolve("copy"));
    for (String name : List.of("config.json", "model.safetensors", "series.json")) {
      Files.copy(model.resolve(name), copy.resolve(name));
    }
    String json = Files.readString(copy.resolve("config.json"));
    Files.writeString(
        copy.resolve("config.json"),
        json.replace("\"embedding_dim\" : 16", "\"embedding_dim\" : 32"));
    assertRefusedAfterPrinting(
        CommandLineRun.of("inspect", copy.toString()), "has shape", "the configuration asks for");
  }

  /// The tensors are looked at last.
  private static void assertRefusedAfterPrinting(CommandLineRun run, String... parts) {
    assertThat(run.err()).contains(parts);
    assertThat(run.code()).isEqualTo(1);
    assertThat(run.err().lines()).hasSize(1);
  }

  @Test
  void convert_and_generate_refuse_in_one_line_that_says_what_to_use() {
    Path out = folder.resolve("out");
    for (String[] more : new String[][] {{}, {"--quantize", "int8"}, {"--dtype", "bfloat16"}}) {
      var command = new ArrayList<>(List.of("convert", model.toString(), out.toString()));
      command.addAll(List.of(more));
      assertRefused(
          CommandLineRun.of(command.toArray(String[]::new)),
          1,
          "a model of series",
          "xlstm forecast");
    }
    assertThat(out).doesNotExist();
    for (String backend : List.of("runtime", "torch")) {
      assertRefused(
          CommandLineRun.of("generate", "--model", model.toString(), "--backend", backend),
          1,
          "model_type is xlstm_sequence, a model of series",
          "use xlstm forecast");
    }
  }
}
