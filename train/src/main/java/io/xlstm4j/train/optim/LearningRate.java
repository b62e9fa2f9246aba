package io.xlstm4j.train.optim;

import io.xlstm4j.core.Check;
import io.xlstm4j.train.config.ScheduleConfig;

/// The learning rate of every step: linear warm-up, a main part, a linear cool-down.
///
/// With W, M and C steps of each, and p the peak: step t has `p (t+1)/W` in the warm-up; the main
/// part begins at p and ends at `p · minLrRatio`, which its last step has, or the first of the
/// cool-down would have had; the last step of the run has `p · cooldownFraction` if there is a
/// cool-down.
public final class LearningRate {
  private final double peak;
  private final ScheduleConfig schedule;
  private final int warmup;
  private final int cooldown;
  private final int main;

  /// @param peak the highest rate, reached at the last step of the warm-up
  /// @param steps steps of the whole run
  public LearningRate(double peak, ScheduleConfig schedule, int steps) {
    Check.positive("steps", steps);
    this.peak = peak;
    this.schedule = schedule;
    warmup = Math.min(schedule.warmupSteps(), steps);
    cooldown = Math.min(schedule.cooldownSteps(), steps - warmup);
    main = steps - warmup - cooldown;
  }

  /// @param step from 0; past the last one the rate stays as it is there
  public double at(int step) {
    if (step < warmup) {
      return peak * (step + 1) / warmup;
    }
    int at = step - warmup;
    if (at < main || cooldown == 0) {
      // without a cool-down the last step, else the one after it, has progress 1
      int whole = Math.max(1, cooldown == 0 ? main - 1 : main);
      return peak * shape(Math.min(1, (double) at / whole));
    }
    double left = 1 - Math.min(1, (at - main + 1.0) / cooldown);
    double begin = main == 0 ? 1 : shape(1);
    double end = schedule.cooldownFraction();
    return peak * (end + (begin - end) * left);
  }

  /// The rate in a run that time alone limits: that of a run with as many steps as fit into the
  /// time, if all take as long as those so far.
  ///
  /// @param step from 0
  /// @param elapsed part of the time that is over before the step, from 0 on
  public double at(int step, double elapsed) {
    double steps = elapsed > 0 ? step / elapsed : Integer.MAX_VALUE;
    int all = (int) Math.clamp(steps, step + 1.0, (double) Integer.MAX_VALUE);
    return new LearningRate(peak, schedule, all).at(step);
  }

  /// The main part as a fraction of the peak, `progress` in [0, 1].
  private double shape(double progress) {
    double end = schedule.minLrRatio();
    return switch (schedule.kind()) {
      case CONSTANT, WSD -> 1;
      case LINEAR -> 1 - (1 - end) * progress;
      case COSINE -> end + (1 - end) * (1 + Math.cos(Math.PI * progress)) / 2;
      case EXPONENTIAL -> Math.pow(end, progress);
    };
  }
}
