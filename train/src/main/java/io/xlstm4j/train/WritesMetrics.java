package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.WatchConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.util.List;

/// Writes what happened to the files of the run.
final class WritesMetrics implements Callback {
  private final RunFolder folder;
  private final MetricsCsv csv;

  WritesMetrics(RunFolder folder, WatchConfig config, int lastStep) {
    this.folder = folder;
    csv = MetricsCsv.open(folder.metricsCsv(), lastStep);
    SamplesFile.dropAfter(folder.samples(), lastStep);
  }

  @Override
  public void onStep(Run run, Step step) {
    csv.step(step);
  }

  @Override
  public void onValidation(Run run, Validation validation, boolean best) {
    csv.validation(run.state().step(), run.state().tokens(), validation);
    draw();
  }

  @Override
  public void onSamples(Run run, List<Task.Sample> samples) {
    SamplesFile.append(folder.samples(), run.state().step(), samples);
  }

  @Override
  public void onEnd(Run run, End end) {
    draw();
  }

  private void draw() {
    try {
      LossPlot.draw(csv.rows(), folder.lossPicture());
    } catch (IOException e) {
      throw new InvalidInputException(
          folder.lossPicture() + ": cannot be written: " + e.getMessage(), e);
    }
  }
}
