package io.xlstm4j.train;

import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.time.Duration;
import java.util.List;

/// Receives the events of a run: for logging, metrics, notifications.
///
/// Each callback is called on a thread of its own, one event after the other, while training goes
/// on. It cannot change or end the run: what it throws is one warning, and one that does not return
/// within its [#timeLimit] is left out until it does. [Run#stop] asks the run to stop. Code that
/// must read or change weights belongs into a [SynchronousCallback].
///
/// When [Trainer#run] returns, all events were delivered, except to a callback that did not answer.
public interface Callback extends AutoCloseable {
  /// Returns how long one event may take before the callback counts as unresponsive.
  default Duration timeLimit() {
    return Duration.ofSeconds(30);
  }

  /// Is called once for each cause when a file or a callback of the run does not work, although
  /// training goes on: a picture that cannot be drawn, a full disk, a callback that failed.
  ///
  /// @param warning one line
  default void onWarning(String warning) {}

  /// A long preparation has begun, such as "training a tokenizer".
  default void onPreparing(String what) {}

  /// The first step of this part of the run is about to begin.
  default void onStart(Run run) {}

  /// Called after the weights were updated.
  default void onStep(Run run, Step step) {}

  /// A step was left out, because a number of it was not finite; the weights are as they were.
  default void onSkipped(Run run, Skipped skipped) {}

  /// The model was measured, with its EMA weights if the run has such.
  ///
  /// @param best whether no earlier one was better
  default void onValidation(Run run, Validation validation, boolean best) {}

  /// The model wrote something, after a validation.
  default void onSamples(Run run, List<Task.Sample> samples) {}

  /// All of a step is done, validation included; the run's state is that between two steps. Also
  /// called once before the first step of a new run.
  default void onBoundary(Run run) {}

  /// The last step of this part of the run is done, and everything is on the disk.
  default void onEnd(Run run, End end) {}

  /// The run ends because of a fault; the last saved state is still there.
  default void onFailure(Run run, Throwable cause) {}

  /// Releases resources; called once, as the last event, also after a failure.
  @Override
  default void close() {}

  /// One optimizer step.
  ///
  /// @param number steps done, this one included
  /// @param loss mean over the targets of the batch, in nats per token for a language model
  /// @param learningRate before the factors of groups
  /// @param gradientNorm global norm before clipping
  /// @param tokens tokens trained on so far
  /// @param seconds this step took, from the first token read to the updated weights
  /// @param tokensPerSecond of this step
  record Step(
      int number,
      double loss,
      double learningRate,
      double gradientNorm,
      long tokens,
      double seconds,
      double tokensPerSecond) {}

  /// A step without effect.
  ///
  /// @param number steps done, this one included
  /// @param what was not finite, and its value
  /// @param origin where the batch comes from
  /// @param inRow how many steps were skipped one after the other, this one included
  record Skipped(int number, String what, String origin, int inRow) {}

  /// The end of a part of a run.
  ///
  /// @param why in words
  /// @param finished whether the run is over; else it can be gone on with
  /// @param validation of the best model on all validation data; of a run that is not over on as
  ///   much as its validations read
  record End(String why, boolean finished, Validation validation) {}
}
