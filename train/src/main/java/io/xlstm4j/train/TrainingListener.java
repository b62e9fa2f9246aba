package io.xlstm4j.train;

import java.util.List;

/// Hears what happens in a run. Called on the thread that trains; slow listeners slow it.
public interface TrainingListener {
  /// The run is about to begin, or to go on.
  ///
  /// @param startStep steps done already
  default void onStart(RunSummary summary, int startStep) {}

  /// A long preparation has begun, such as "training a tokenizer".
  default void onPreparing(String what) {}

  default void onStep(Step step) {}

  default void onValidation(int step, Evaluation.Result result) {}

  default void onSamples(int step, List<Sample> samples) {}

  /// A checkpoint is safely on disk.
  default void onSaved(int step) {}

  /// What is about to be trained.
  ///
  /// @param trainTokens tokens of an epoch
  record RunSummary(
      RunConfig config, long parameters, long trainTokens, long validationTokens, String corpus) {}

  /// One optimizer step.
  ///
  /// @param number steps done, this one included
  /// @param loss mean cross entropy of the batch in nats per token
  /// @param gradientNorm global norm before clipping
  /// @param tokens tokens trained on so far
  /// @param tokensPerSecond of this step
  record Step(
      int number,
      double loss,
      double learningRate,
      double gradientNorm,
      long tokens,
      double tokensPerSecond) {}

  /// A prompt and what the model wrote after it.
  record Sample(String prompt, String text) {}
}
