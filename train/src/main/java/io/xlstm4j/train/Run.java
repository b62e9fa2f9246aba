package io.xlstm4j.train;

import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.run.TrainingState;
import io.xlstm4j.train.task.TaskInfo;

/// A run as callbacks see it: values of the moment of its event, which do not change any more. Safe
/// to use from any thread.
public interface Run {
  /// Returns the configuration.
  RunConfig config();

  /// Returns the folder of the run.
  RunFolder folder();

  /// Returns name and sizes of model and data.
  TaskInfo facts();

  /// Returns the position of the run: steps, tokens, best loss.
  TrainingState state();

  /// Returns the number of steps in all; [Integer#MAX_VALUE] if only time limits the run.
  int totalSteps();

  /// Returns whether no step will follow.
  boolean ending();

  /// Asks the run to stop after the step that is being computed; it can be resumed. May be called
  /// from any thread at any time.
  ///
  /// @param why in words
  void stop(String why);
}
