package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.Locale;

/// The learning rate over a run: a warm-up, a main part, and a cool-down if wanted (docs/math.md
/// 6).
///
/// @param kind of the main part
/// @param warmupSteps steps of linear growth to the peak, which the last of them reaches
/// @param minLrRatio where the main part of a falling kind ends, as a fraction of the peak
/// @param cooldownSteps last steps, in which the rate falls linearly from where it is
/// @param cooldownFraction where the cool-down ends, as a fraction of the peak
public record ScheduleConfig(
    Kind kind, int warmupSteps, double minLrRatio, int cooldownSteps, double cooldownFraction) {
  /// The settings of `./xlstm train` without arguments.
  public static final ScheduleConfig DEFAULT = new ScheduleConfig(Kind.COSINE, 60, 0.05, 0, 0);

  /// The learning rate between warm-up and cool-down.
  public enum Kind {
    /// stays at the peak
    CONSTANT,
    /// falls along a line
    LINEAR,
    /// falls along half a cosine
    COSINE,
    /// falls by the same factor at every step
    EXPONENTIAL,
    /// warm-up, stable, decay: constant with a cool-down that must be there
    WSD;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public ScheduleConfig {
    Check.notNegative("warmupSteps", warmupSteps);
    Check.inClosedRange("minLrRatio", minLrRatio, 0, 1);
    Check.notNegative("cooldownSteps", cooldownSteps);
    Check.inClosedRange("cooldownFraction", cooldownFraction, 0, 1);
    if (kind == Kind.WSD && cooldownSteps == 0) {
      throw new IllegalArgumentException(
          "cooldownSteps (0) must be positive for the schedule wsd; use constant for none");
    }
    if (kind == Kind.EXPONENTIAL && minLrRatio == 0) {
      throw new IllegalArgumentException(
          "minLrRatio (0) must be positive for the schedule exponential, which never gets there");
    }
  }

  public ScheduleConfig withKind(Kind value) {
    return RecordComponents.with(this, "kind", value);
  }

  public ScheduleConfig withWarmupSteps(int value) {
    return RecordComponents.with(this, "warmupSteps", value);
  }

  public ScheduleConfig withMinLrRatio(double value) {
    return RecordComponents.with(this, "minLrRatio", value);
  }

  public ScheduleConfig withCooldownSteps(int value) {
    return RecordComponents.with(this, "cooldownSteps", value);
  }

  public ScheduleConfig withCooldownFraction(double value) {
    return RecordComponents.with(this, "cooldownFraction", value);
  }
}
