package io.xlstm4j.train;

import io.xlstm4j.train.task.Validation;

/// Code that is part of the training itself: it is called on the thread that trains and may read or
/// change weights, gradients and state.
///
/// A slow hook slows the run, and what one throws ends the run. For everything that only reports,
/// use [Callback]. In a run of several processes hooks are called in the first process alone.
public interface SynchronousCallback extends AutoCloseable {
  /// The weights were updated.
  default void onStep(LiveRun run, Callback.Step step) {}

  /// A step was left out because a number was not finite; the weights are as they were.
  default void onSkipped(LiveRun run, Callback.Skipped skipped) {}

  /// The model was measured. Until this returns it has the weights that were measured: the EMA
  /// weights, if the run has such.
  ///
  /// @param best whether no earlier one was better
  default void onValidation(LiveRun run, Validation validation, boolean best) {}

  /// A step is complete, validation included; the run's state is that between two steps. Also
  /// called once before the first step of a new run.
  default void onBoundary(LiveRun run) {}

  /// Releases resources; called once, also after a failure.
  @Override
  default void close() {}
}
