package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.List;
import java.util.Locale;

/// The loss of a sequence model: what it predicts of each target and how errors are weighted.
///
/// @param kind of the loss
/// @param levels of the quantiles, rising, each in (0, 1); empty for every other kind
/// @param classes how many there are, at least 2; 0 for every kind but cross entropy
public record SequenceLossConfig(Kind kind, List<Double> levels, int classes) {
  /// Kinds of losses; y is the target, p the prediction.
  public enum Kind {
    /// `(y - p)²`; predicts the mean
    MSE,
    /// `|y - p|`; predicts the median
    MAE,
    /// pinball loss `max(q (y - p), (q - 1) (y - p))`, mean over the levels q
    QUANTILE,
    /// `-log softmax(p)[y]` in nats; predicts a class
    CROSS_ENTROPY;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  public SequenceLossConfig {
    levels = List.copyOf(levels);
    if (kind == Kind.QUANTILE && levels.isEmpty()) {
      throw new IllegalArgumentException(
          "levels ([]) must not be empty for the loss quantile, for example [0.1, 0.5, 0.9]");
    }
    if (kind != Kind.QUANTILE && !levels.isEmpty()) {
      throw new IllegalArgumentException(
          "levels (%s) must be empty for the loss %s; they belong to quantile"
              .formatted(levels, kind));
    }
    double last = 0;
    for (double level : levels) {
      if (!(level > last && level < 1)) {
        throw new IllegalArgumentException("levels (" + levels + ") must rise and lie in (0, 1)");
      }
      last = level;
    }
    if (kind == Kind.CROSS_ENTROPY ? classes < 2 : classes != 0) {
      throw new IllegalArgumentException(
          "classes (%d) must be %s for the loss %s"
              .formatted(classes, kind == Kind.CROSS_ENTROPY ? "at least 2" : "0", kind));
    }
    Check.atMost("classes", classes, 1 << 20);
  }

  public static SequenceLossConfig mse() {
    return new SequenceLossConfig(Kind.MSE, List.of(), 0);
  }

  public static SequenceLossConfig mae() {
    return new SequenceLossConfig(Kind.MAE, List.of(), 0);
  }

  public static SequenceLossConfig quantiles(Double... levels) {
    return new SequenceLossConfig(Kind.QUANTILE, List.of(levels), 0);
  }

  public static SequenceLossConfig crossEntropy(int classes) {
    return new SequenceLossConfig(Kind.CROSS_ENTROPY, List.of(), classes);
  }

  /// Numbers predicted for each target: 1, the levels, or the classes.
  public int width() {
    return switch (kind) {
      case MSE, MAE -> 1;
      case QUANTILE -> levels.size();
      case CROSS_ENTROPY -> classes;
    };
  }

  /// Returns the index of the point forecast of a quantile loss: the level nearest to a half.
  public int middle() {
    int middle = 0;
    for (int i = 1; i < levels.size(); i++) {
      if (Math.abs(levels.get(i) - 0.5) < Math.abs(levels.get(middle) - 0.5)) {
        middle = i;
      }
    }
    return middle;
  }

  public SequenceLossConfig withKind(Kind value) {
    return RecordComponents.with(this, "kind", value);
  }

  public SequenceLossConfig withLevels(List<Double> value) {
    return RecordComponents.with(this, "levels", value);
  }

  public SequenceLossConfig withClasses(int value) {
    return RecordComponents.with(this, "classes", value);
  }
}
