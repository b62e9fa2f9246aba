package io.xlstm4j.train;

import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.util.List;

/// Lets the model write after each validation.
final class WritesSamples implements Callback {
  @Override
  public void onValidation(Run run, Validation validation, boolean best) {
    if (!Double.isFinite(validation.loss())) {
      return; // such a model writes nothing
    }
    List<Task.Sample> samples = run.task().samples();
    if (!samples.isEmpty()) {
      run.samples(samples);
    }
  }
}
