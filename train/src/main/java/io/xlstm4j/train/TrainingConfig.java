package io.xlstm4j.train;

import io.xlstm4j.core.Check;

/// How a run optimises.
///
/// @param steps optimizer steps in all
/// @param batchSize rows of `context_length` tokens in a step
/// @param learningRate peak of the schedule
/// @param finalLearningRateFraction where the cosine ends, as a fraction of the peak
/// @param warmupSteps steps of linear growth to the peak, which the last of them reaches
/// @param weightDecay decoupled, on the parameters that the model decays
/// @param beta1 decay of the first moment
/// @param beta2 decay of the second moment
/// @param epsilon added to the root of the second moment
/// @param clipNorm bound of the global gradient norm; 0 for none
/// @param seed of initialisation, order of batches, dropout and samples
/// @param validateEvery steps between validations
/// @param validationTokens tokens a validation during the run reads; 0 for all
/// @param saveEvery steps between checkpoints to resume from
public record TrainingConfig(
    int steps,
    int batchSize,
    double learningRate,
    double finalLearningRateFraction,
    int warmupSteps,
    double weightDecay,
    double beta1,
    double beta2,
    double epsilon,
    double clipNorm,
    long seed,
    int validateEvery,
    int validationTokens,
    int saveEvery) {
  public TrainingConfig {
    Check.positive("steps", steps);
    Check.positive("batchSize", batchSize);
    Check.positive("learningRate", learningRate);
    Check.inClosedRange("finalLearningRateFraction", finalLearningRateFraction, 0, 1);
    Check.notNegative("warmupSteps", warmupSteps);
    Check.notNegative("weightDecay", weightDecay);
    Check.inHalfOpenRange("beta1", beta1, 0, 1);
    Check.inHalfOpenRange("beta2", beta2, 0, 1);
    Check.positive("epsilon", epsilon);
    Check.notNegative("clipNorm", clipNorm);
    Check.positive("validateEvery", validateEvery);
    Check.notNegative("validationTokens", validationTokens);
    Check.positive("saveEvery", saveEvery);
  }
}
