package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.torch.Precision;

/// Length of a run and batch of a step. The first limit that is reached ends it.
///
/// @param steps optimizer steps in all; 0 for no such limit
/// @param tokens tokens (or positions of a series) to train on; 0 for no such limit
/// @param epochs passes over the training data; 0 for no such limit
/// @param minutes of training, pauses between resumed parts not counted; 0 for no such limit
/// @param batchSize sequences of `context_length` tokens in a step
/// @param gradientAccumulationSteps micro-batches that a batch is divided into, computed one after
///   the other to save memory; divides batchSize
/// @param truncatedBptt whether sequences go on where the step before left off, with its state:
///   back-propagation through time, truncated at the step's edge
/// @param precision of the projections; gates, states, norms and the loss are always float32
/// @param activationCheckpointing whether a block keeps only its input for the backward pass and is
///   computed again there
/// @param maxNonfiniteSteps steps in a row that may be skipped for a loss or gradient that is not
///   finite; one more ends the run
/// @param seed of initialisation, order of batches, dropout and samples
public record TrainingConfig(
    int steps,
    long tokens,
    double epochs,
    double minutes,
    int batchSize,
    int gradientAccumulationSteps,
    boolean truncatedBptt,
    Precision precision,
    boolean activationCheckpointing,
    int maxNonfiniteSteps,
    long seed) {
  /// The settings of `./xlstm train` without arguments.
  public static final TrainingConfig DEFAULT =
      new TrainingConfig(900, 0, 0, 0, 16, 1, false, Precision.FLOAT32, false, 3, 1);

  public TrainingConfig {
    Check.notNegative("steps", steps);
    Check.notNegative("tokens", tokens);
    Check.notNegative("epochs", epochs);
    Check.notNegative("minutes", minutes);
    Check.positive("batchSize", batchSize);
    Check.positive("gradientAccumulationSteps", gradientAccumulationSteps);
    Check.divides("gradientAccumulationSteps", gradientAccumulationSteps, "batchSize", batchSize);
    Check.notNegative("maxNonfiniteSteps", maxNonfiniteSteps);
    if (steps == 0 && tokens == 0 && epochs == 0 && minutes == 0) {
      throw new IllegalArgumentException(
          "training.steps, training.tokens, training.epochs and training.minutes are all 0, and the run has no end; one of them must be above 0");
    }
  }

  /// Optimizer steps in all, as far as the limits but time say; what the schedule spreads over.
  ///
  /// @param tokensPerStep tokens (or positions) of one batch
  /// @param stepsPerEpoch batches of one pass, whole or not
  /// @return at least 1; [Integer#MAX_VALUE] if only time limits the run
  public int totalSteps(long tokensPerStep, double stepsPerEpoch) {
    double total = Integer.MAX_VALUE;
    if (steps > 0) {
      total = steps;
    }
    if (tokens > 0) {
      total = Math.min(total, Math.ceil((double) tokens / tokensPerStep));
    }
    if (epochs > 0) {
      total = Math.min(total, Math.ceil(epochs * stepsPerEpoch));
    }
    return (int) Math.max(1, total);
  }

  public TrainingConfig withSteps(int value) {
    return RecordComponents.with(this, "steps", value);
  }

  public TrainingConfig withTokens(long value) {
    return RecordComponents.with(this, "tokens", value);
  }

  public TrainingConfig withEpochs(double value) {
    return RecordComponents.with(this, "epochs", value);
  }

  public TrainingConfig withMinutes(double value) {
    return RecordComponents.with(this, "minutes", value);
  }

  public TrainingConfig withBatchSize(int value) {
    return RecordComponents.with(this, "batchSize", value);
  }

  public TrainingConfig withGradientAccumulationSteps(int value) {
    return RecordComponents.with(this, "gradientAccumulationSteps", value);
  }

  public TrainingConfig withTruncatedBptt(boolean value) {
    return RecordComponents.with(this, "truncatedBptt", value);
  }

  public TrainingConfig withPrecision(Precision value) {
    return RecordComponents.with(this, "precision", value);
  }

  public TrainingConfig withActivationCheckpointing(boolean value) {
    return RecordComponents.with(this, "activationCheckpointing", value);
  }

  public TrainingConfig withMaxNonfiniteSteps(int value) {
    return RecordComponents.with(this, "maxNonfiniteSteps", value);
  }

  public TrainingConfig withSeed(long value) {
    return RecordComponents.with(this, "seed", value);
  }
}
