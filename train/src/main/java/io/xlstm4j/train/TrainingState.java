package io.xlstm4j.train;

import io.xlstm4j.core.Check;
import org.jspecify.annotations.Nullable;

/// Where a run stands, beside weights and moments: `training/state.json`.
///
/// The order of batches and all randomness follow from seed and step, so no generator is saved.
///
/// @param step optimizer steps done
/// @param tokens tokens trained on
/// @param bestLoss lowest validation loss so far, nats per token; null before the first
/// @param bestStep the step it was reached at
/// @param trainFingerprint of corpus and tokenizer, training part
/// @param validationFingerprint the same of the validation part
record TrainingState(
    int step,
    long tokens,
    @Nullable Double bestLoss,
    int bestStep,
    String trainFingerprint,
    String validationFingerprint) {
  TrainingState {
    Check.notNegative("step", step);
    Check.notNegative("tokens", tokens);
    Check.notNegative("bestStep", bestStep);
  }

  TrainingState afterStep(long newTokens) {
    return new TrainingState(
        step + 1, tokens + newTokens, bestLoss, bestStep, trainFingerprint, validationFingerprint);
  }

  TrainingState withBest(double loss) {
    return new TrainingState(step, tokens, loss, step, trainFingerprint, validationFingerprint);
  }

  boolean isBest(double loss) {
    return bestLoss == null || loss < bestLoss;
  }
}
