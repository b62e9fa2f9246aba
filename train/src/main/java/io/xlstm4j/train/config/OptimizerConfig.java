package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.List;

/// AdamW and what stands around it.
///
/// @param learningRate peak of the schedule
/// @param weightDecay decoupled, on the parameters that the model decays
/// @param beta1 decay of the first moment
/// @param beta2 decay of the second moment
/// @param epsilon added to the root of the second moment
/// @param clipNorm bound of the global gradient norm; 0 for none
/// @param clipValue bound of every single gradient, before the norm is taken; 0 for none
/// @param emaDecay share of the averaged weights that a step keeps; 0 for no averaging. With it the
///   averaged weights are validated and kept as the best model.
/// @param groups parameters with settings of their own; the first that matches counts
public record OptimizerConfig(
    double learningRate,
    double weightDecay,
    double beta1,
    double beta2,
    double epsilon,
    double clipNorm,
    double clipValue,
    double emaDecay,
    List<ParameterGroup> groups) {
  /// The settings of `./xlstm train` without arguments.
  public static final OptimizerConfig DEFAULT =
      new OptimizerConfig(3e-3, 0.1, 0.9, 0.95, 1e-8, 1.0, 0, 0, List.of());

  public OptimizerConfig {
    Check.positive("learningRate", learningRate);
    Check.notNegative("weightDecay", weightDecay);
    Check.inHalfOpenRange("beta1", beta1, 0, 1);
    Check.inHalfOpenRange("beta2", beta2, 0, 1);
    Check.positive("epsilon", epsilon);
    Check.notNegative("clipNorm", clipNorm);
    Check.notNegative("clipValue", clipValue);
    Check.inHalfOpenRange("emaDecay", emaDecay, 0, 1);
    groups = List.copyOf(groups);
  }

  /// AdamW without clipping, averaging or groups.
  public static OptimizerConfig of(
      double learningRate, double weightDecay, double beta1, double beta2) {
    return new OptimizerConfig(learningRate, weightDecay, beta1, beta2, 1e-8, 0, 0, 0, List.of());
  }

  public OptimizerConfig withLearningRate(double value) {
    return RecordComponents.with(this, "learningRate", value);
  }

  public OptimizerConfig withWeightDecay(double value) {
    return RecordComponents.with(this, "weightDecay", value);
  }

  public OptimizerConfig withBeta1(double value) {
    return RecordComponents.with(this, "beta1", value);
  }

  public OptimizerConfig withBeta2(double value) {
    return RecordComponents.with(this, "beta2", value);
  }

  public OptimizerConfig withEpsilon(double value) {
    return RecordComponents.with(this, "epsilon", value);
  }

  public OptimizerConfig withClipNorm(double value) {
    return RecordComponents.with(this, "clipNorm", value);
  }

  public OptimizerConfig withClipValue(double value) {
    return RecordComponents.with(this, "clipValue", value);
  }

  public OptimizerConfig withEmaDecay(double value) {
    return RecordComponents.with(this, "emaDecay", value);
  }

  public OptimizerConfig withGroups(List<ParameterGroup> value) {
    return RecordComponents.with(this, "groups", value);
  }
}
