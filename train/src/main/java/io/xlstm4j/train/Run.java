package io.xlstm4j.train;

import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.Task;
import java.util.List;

/// A run as its callbacks see it.
public interface Run {
  RunConfig config();

  RunFolder folder();

  /// What is learnt. To be read, not to be moved.
  Task task();

  /// Where the run stands.
  TrainingState state();

  /// Steps in all; [Integer#MAX_VALUE] if only time limits the run.
  int totalSteps();

  /// Whether no step will follow.
  boolean ending();

  /// Ends the run after this step; it can be gone on with.
  ///
  /// @param why in words
  void stop(String why);

  /// Lets all callbacks hear of samples.
  void samples(List<Task.Sample> samples);

  /// The model of now, to be written; valid as long as the caller's scope is open.
  StateWriter.Model model();

  /// All that the run needs to go on; valid as long as the caller's scope is open. Not within
  /// [Callback#onValidation].
  StateWriter.Full full();

  /// Gradients of the last step by parameter name, before clipping by norm; valid as long as the
  /// caller's scope is open, until the next step.
  List<TensorData> gradients();
}
