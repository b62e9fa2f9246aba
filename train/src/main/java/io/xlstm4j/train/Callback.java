package io.xlstm4j.train;

import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.util.List;

/// Hears what happens in a run, and may act on it: logging, samples and checkpoints are callbacks
/// themselves.
///
/// Called on the thread that trains, in the order they were given; slow ones slow the run. What one
/// throws ends the run, as a fault of the run's own would.
public interface Callback extends AutoCloseable {
  /// A long preparation has begun, such as "training a tokenizer".
  default void onPreparing(String what) {}

  /// The first step of this part of the run is about to begin.
  default void onStart(Run run) {}

  /// The weights were moved.
  default void onStep(Run run, Step step) {}

  /// A step was left out, because a number of it was not finite; the weights are as they were.
  default void onSkipped(Run run, Skipped skipped) {}

  /// The model was measured. Until this returns it has the weights that were: the averaged ones, if
  /// the run averages.
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
  default void onFailure(Run run, RuntimeException cause) {}

  /// Gives back what it holds; called once, also after a fault.
  @Override
  default void close() {}

  /// One optimizer step.
  ///
  /// @param number steps done, this one included
  /// @param loss mean over the targets of the batch, in nats per token for a language model
  /// @param learningRate before the factors of groups
  /// @param gradientNorm global norm before clipping
  /// @param tokens tokens trained on so far
  /// @param seconds this step took, from the first token read to the weights moved
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

  /// How a part of a run ended.
  ///
  /// @param why in words
  /// @param finished whether the run is over; else it can be gone on with
  /// @param validation of the best model on all validation data; of a run that is not over on as
  ///   much as its validations read
  record End(String why, boolean finished, Validation validation) {}
}
