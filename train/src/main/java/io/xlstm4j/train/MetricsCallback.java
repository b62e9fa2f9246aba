package io.xlstm4j.train;

import io.xlstm4j.train.config.LoggingConfig;
import io.xlstm4j.train.logging.Histogram;
import io.xlstm4j.train.logging.MetricNames;
import io.xlstm4j.train.logging.MetricsCsv;
import io.xlstm4j.train.logging.MetricsJsonLines;
import io.xlstm4j.train.logging.MetricsLogger;
import io.xlstm4j.train.logging.ProcessMemory;
import io.xlstm4j.train.logging.RunStatus;
import io.xlstm4j.train.logging.SamplesFile;
import io.xlstm4j.train.logging.TensorBoardFile;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/// Writes the events of a run to its files: metrics, samples, status. Each file on its own: one
/// that cannot be written is a warning, and the others go on.
final class MetricsCallback implements Callback {
  private static final int STEPS_BETWEEN_MEMORY = 50;

  private final LoggingConfig config;
  private final Warnings warnings;
  private final Consumer<Boolean> drawing;
  private final SequencedMap<String, Supplier<MetricsLogger>> files;
  private final SequencedMap<String, MetricsLogger> sinks = new LinkedHashMap<>();
  private boolean open;
  private @Nullable RunStatus status;

  /// @param files opens each file, by the name that a warning gives it
  /// @param drawing asks for a picture of what was written, and says whether it is the last
  MetricsCallback(
      LoggingConfig config,
      SequencedMap<String, Supplier<MetricsLogger>> files,
      Warnings warnings,
      Consumer<Boolean> drawing) {
    this.config = config;
    this.files = files;
    this.warnings = warnings;
    this.drawing = drawing;
  }

  /// Returns the files of a run.
  ///
  /// @param about the model and how samples are drawn, for the head of their file
  /// @param lastStep the step that the run is resumed from; what was written of later ones is
  ///   dropped
  static SequencedMap<String, Supplier<MetricsLogger>> files(
      RunFolder folder, LoggingConfig config, String about, int lastStep) {
    var files = new LinkedHashMap<String, Supplier<MetricsLogger>>();
    files.put("metrics.csv", () -> MetricsCsv.open(folder.metricsCsv(), lastStep));
    files.put("metrics.jsonl", () -> MetricsJsonLines.open(folder.metricsJsonLines(), lastStep));
    files.put("samples.md", () -> SamplesFile.open(folder.samples(), about, lastStep));
    if (config.tensorboard()) {
      files.put("tensorboard", () -> TensorBoardFile.open(folder.tensorboard(), lastStep));
    }
    return files;
  }

  /// Gives something to every file that can be opened.
  private void write(Consumer<MetricsLogger> record) {
    if (!open) { // here, on the thread of this callback, since a file system may not answer
      open = true;
      files.forEach((name, opener) -> attempt(name, () -> sinks.put(name, opener.get())));
    }
    sinks.forEach((name, sink) -> attempt(name, () -> record.accept(sink)));
  }

  private void attempt(String name, Runnable work) {
    try {
      work.run();
    } catch (Throwable e) {
      warnings.failed(name, e);
    }
  }

  @Override
  public void onStart(Run run) {
    write(_ -> {}); // cuts back what was written after the state that the run is resumed from
    attempt(
        RunStatus.FILE_NAME,
        () -> {
          RunStatus begun =
              RunStatus.begun(run.facts().parameters(), run.facts().name(), run.config().device());
          status = begun.resuming(before(run.folder()));
          status.write(run.folder().path());
        });
  }

  /// Reads the status that the run had before it was resumed; null if it is lost or damaged.
  private static @Nullable RunStatus before(RunFolder folder) {
    try {
      return RunStatus.read(folder.path());
    } catch (RuntimeException e) {
      return null; // it is written anew
    }
  }

  @Override
  public void onStep(Run run, Step step) {
    if (step.number() % config.every() == 0 || step.number() == run.totalSteps()) {
      var values = new LinkedHashMap<String, Double>();
      values.put(MetricNames.TRAIN_LOSS, step.loss());
      values.put(MetricNames.TRAIN_LEARNING_RATE, step.learningRate());
      values.put(MetricNames.TRAIN_GRADIENT_NORM, step.gradientNorm());
      values.put(MetricNames.TRAIN_TOKENS, (double) step.tokens());
      values.put(MetricNames.TRAIN_TOKENS_PER_SECOND, step.tokensPerSecond());
      values.put(MetricNames.TRAIN_SECONDS, run.state().seconds());
      if (step.number() % STEPS_BETWEEN_MEMORY == 0) {
        addMemory(values);
      }
      write(sink -> sink.scalars(step.number(), values));
    }
  }

  /// Writes distributions by name.
  void histograms(int step, Map<String, Histogram> byName) {
    byName.forEach((name, values) -> write(sink -> sink.histogram(step, name, values)));
  }

  private static void addMemory(Map<String, Double> values) {
    ProcessMemory memory = ProcessMemory.now();
    if (!Double.isNaN(memory.residentMib())) {
      values.put(MetricNames.MEMORY_RESIDENT_MIB, memory.residentMib());
    }
    values.put(MetricNames.MEMORY_HEAP_MIB, memory.heapMib());
  }

  @Override
  public void onSkipped(Run run, Skipped skipped) {
    var values = Map.of("train/skipped_in_row", (double) skipped.inRow());
    write(sink -> sink.scalars(skipped.number(), values));
  }

  @Override
  public void onValidation(Run run, Validation validation, boolean best) {
    var values = new LinkedHashMap<String, Double>();
    values.put(MetricNames.VALIDATION_LOSS, validation.loss());
    validation.measures().forEach((name, value) -> values.put("validation/" + name, value));
    addMemory(values);
    write(sink -> sink.scalars(run.state().step(), values));
  }

  @Override
  public void onSamples(Run run, List<Task.Sample> samples) {
    for (int i = 0; i < samples.size(); i++) {
      Task.Sample sample = samples.get(i);
      String name = "samples/" + (i + 1);
      String markdown = SamplesFile.markdown(sample.prompt(), sample.text());
      write(sink -> sink.text(run.state().step(), name, markdown));
    }
  }

  @Override
  public void onBoundary(Run run) {
    if (run.state().validationLoss() != null) {
      drawing.accept(false);
    }
  }

  @Override
  public void onEnd(Run run, End end) {
    report(run, end.finished() ? RunStatus.State.FINISHED : RunStatus.State.STOPPED, null);
  }

  @Override
  public void onFailure(Run run, Throwable cause) {
    report(run, RunStatus.State.FAILED, String.valueOf(cause.getMessage()));
  }

  private void report(Run run, RunStatus.State state, @Nullable String message) {
    if (status != null) {
      RunStatus last = status.with(state, message);
      attempt(RunStatus.FILE_NAME, () -> last.write(run.folder().path()));
    }
    drawing.accept(true);
  }

  @Override
  public void close() {
    sinks.forEach((name, sink) -> attempt(name, sink::close));
  }
}
