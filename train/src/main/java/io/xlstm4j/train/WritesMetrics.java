package io.xlstm4j.train;

import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.train.config.WatchConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import io.xlstm4j.train.watch.LossPicture;
import io.xlstm4j.train.watch.MetricNames;
import io.xlstm4j.train.watch.MetricsCsv;
import io.xlstm4j.train.watch.MetricsJsonLines;
import io.xlstm4j.train.watch.MetricsSink;
import io.xlstm4j.train.watch.ProcessMemory;
import io.xlstm4j.train.watch.RunReading;
import io.xlstm4j.train.watch.RunReport;
import io.xlstm4j.train.watch.RunStatus;
import io.xlstm4j.train.watch.SamplesFile;
import io.xlstm4j.train.watch.TensorBoardFile;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;

/// Writes what happens to the files of the run: metrics, samples, picture, report, status.
final class WritesMetrics implements Callback {
  /// Drawing may take this share of the time between two drawings.
  private static final double DRAWING_SHARE = 0.01;

  private static final int STEPS_BETWEEN_MEMORY = 50;

  private final RunFolder folder;
  private final WatchConfig config;
  private final MetricsSink metrics;
  private @Nullable RunStatus status;
  private long drawn = System.nanoTime();
  private long drawingTook;

  /// @param lastStep the step that the run goes on from; what was written of later ones is dropped
  WritesMetrics(RunFolder folder, WatchConfig config, int lastStep) {
    this.folder = folder;
    this.config = config;
    var sinks = new ArrayList<MetricsSink>();
    try {
      sinks.add(MetricsCsv.open(folder.metricsCsv(), lastStep));
      sinks.add(MetricsJsonLines.open(folder.metricsJsonLines(), lastStep));
      sinks.add(SamplesFile.open(folder.samples(), lastStep));
      if (config.tensorboard()) {
        sinks.add(TensorBoardFile.open(folder.tensorboard(), lastStep));
      }
    } catch (RuntimeException e) {
      sinks.forEach(MetricsSink::close);
      throw e;
    }
    metrics = MetricsSink.all(sinks);
  }

  @Override
  public void onStart(Run run) {
    status =
        RunStatus.begun(run.task().parameters().count(), run.task().name(), run.config().device());
    status.write(folder.path());
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
      metrics.scalars(step.number(), values);
    }
    if (config.histogramsEvery() > 0 && step.number() % config.histogramsEvery() == 0) {
      try (var _ = new PointerScope()) {
        histograms(step.number(), "weights/", run.task().weights());
        histograms(step.number(), "gradients/", run.gradients());
      }
    }
  }

  private void histograms(int step, String group, List<TensorData> tensors) {
    for (TensorData tensor : tensors) {
      if (tensor.dtype() == DType.F32) {
        float[] values = tensor.data().toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
        metrics.histogram(step, group + tensor.name(), values);
      }
    }
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
    metrics.scalars(skipped.number(), Map.of("train/skipped_in_row", (double) skipped.inRow()));
  }

  @Override
  public void onValidation(Run run, Validation validation, boolean best) {
    var values = new LinkedHashMap<String, Double>();
    values.put(MetricNames.VALIDATION_LOSS, validation.loss());
    validation.measures().forEach((name, value) -> values.put("validation/" + name, value));
    addMemory(values);
    metrics.scalars(run.state().step(), values);
  }

  @Override
  public void onSamples(Run run, List<Task.Sample> samples) {
    for (int i = 0; i < samples.size(); i++) {
      Task.Sample sample = samples.get(i);
      metrics.text(
          run.state().step(),
          "samples/" + (i + 1),
          SamplesFile.markdown(sample.prompt(), sample.text()));
    }
  }

  @Override
  public void onBoundary(Run run) {
    if (run.state().validationLoss() != null
        && drawingTook < DRAWING_SHARE * (System.nanoTime() - drawn)) {
      draw();
    }
  }

  @Override
  public void onEnd(Run run, End end) {
    says(end.finished() ? RunStatus.State.FINISHED : RunStatus.State.STOPPED, null);
    draw();
  }

  @Override
  public void onFailure(Run run, RuntimeException cause) {
    says(RunStatus.State.FAILED, String.valueOf(cause.getMessage()));
    draw();
  }

  private void says(RunStatus.State state, @Nullable String message) {
    if (status != null) {
      status = status.with(state, message);
      status.write(folder.path());
    }
  }

  private void draw() {
    long began = System.nanoTime();
    RunReading reading = RunReading.of(folder.path());
    LossPicture.draw(
        reading.curves(), String.valueOf(folder.path().getFileName()), folder.lossPicture());
    RunReport.write(reading, folder.report());
    drawn = System.nanoTime();
    drawingTook = drawn - began;
  }

  @Override
  public void close() {
    metrics.close();
  }
}
