package io.xlstm4j.train;

/// Linear warm-up, then a cosine down to a fraction of the peak.
///
/// @param peak the highest rate, reached at the last step of the warm-up
/// @param finalFraction the rate of the last step as a fraction of the peak
/// @param warmupSteps steps from zero to the peak
/// @param steps steps of the whole run
record LearningRate(double peak, double finalFraction, int warmupSteps, int steps) {
  static LearningRate of(TrainingConfig config) {
    return new LearningRate(
        config.learningRate(),
        config.finalLearningRateFraction(),
        Math.min(config.warmupSteps(), config.steps()),
        config.steps());
  }

  /// @param step from 0
  double at(int step) {
    if (step < warmupSteps) {
      return peak * (step + 1) / warmupSteps;
    }
    int decaying = Math.max(1, steps - 1 - warmupSteps);
    double progress = Math.min(1.0, (double) (step - warmupSteps) / decaying);
    double cosine = (1 + Math.cos(Math.PI * progress)) / 2;
    return peak * (finalFraction + (1 - finalFraction) * cosine);
  }
}
