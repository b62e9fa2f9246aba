package io.xlstm4j.train;

import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.task.Task;
import java.util.List;

/// A run with its model, for [SynchronousCallback]s and between the parts of a run: for the thread
/// that trains alone.
public interface LiveRun extends Run {
  /// Returns model and data.
  Task task();

  /// Returns the model of this moment, to be written; valid as long as the caller's scope is open.
  StateWriter.Model model();

  /// Returns all that is needed to resume the run; valid as long as the caller's scope is open. Not
  /// within [SynchronousCallback#onValidation].
  StateWriter.Full full();

  /// Returns the gradients of the last step by parameter name, before clipping by norm; valid as
  /// long as the caller's scope is open, until the next step.
  List<TensorData> gradients();
}
