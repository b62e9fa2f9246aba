package io.xlstm4j.cli;

import io.xlstm4j.train.task.Task;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;

/// The text of a training run's progress line: loss, speed, time left, time of a step, time spent.
///
/// Loss, speed and step time are those of about the last ten steps. The time left comes from the
/// clock since this process took its second step: it counts validation and saving too, and not the
/// first step, which is slow.
final class StepProgress {
  private static final double SMOOTHING = 0.9;

  private final LongSupplier nanoTime;
  private final Task.Unit unit;
  private final long began;
  private double weight;
  private double loss;
  private double tokens;
  private double seconds;
  private int firstStep = -1;
  private long afterFirst;

  /// @param unit what the speed counts
  StepProgress(Task.Unit unit) {
    this(unit, System::nanoTime);
  }

  StepProgress(Task.Unit unit, LongSupplier nanoTime) {
    this.unit = unit;
    this.nanoTime = nanoTime;
    this.began = nanoTime.getAsLong();
  }

  /// Takes a step, and gives what to say now, what matters most first.
  ///
  /// @param step its number, from 1 on
  /// @param steps of the whole run, as far as known
  /// @param stepLoss in nats per token
  /// @param stepTokens tokens of this step
  /// @param stepSeconds that it took, without validation and saving
  List<String> after(int step, int steps, double stepLoss, long stepTokens, double stepSeconds) {
    long now = nanoTime.getAsLong();
    if (firstStep < 0) {
      firstStep = step;
      afterFirst = now;
    }
    weight = smooth(weight, 1); // corrects for the start at zero
    loss = smooth(loss, stepLoss);
    tokens = smooth(tokens, (double) stepTokens);
    seconds = smooth(seconds, stepSeconds);
    double each = step == firstStep ? stepSeconds : (now - afterFirst) / 1e9 / (step - firstStep);
    return List.of(
        format("loss %.3f", loss / weight),
        ProgressLine.duration(each * (steps - step)) + " left",
        format("%,.0f %s/s", tokens / unit.tokens() / seconds, unit.name()),
        stepTime(seconds / weight),
        ProgressLine.duration((now - began) / 1e9) + " spent");
  }

  private static double smooth(double old, double next) {
    return SMOOTHING * old + (1 - SMOOTHING) * next;
  }

  private static String stepTime(double seconds) {
    return seconds < 1 ? format("%.0f ms/step", 1000 * seconds) : format("%.1f s/step", seconds);
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
