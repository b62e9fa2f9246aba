package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// The logging of a run, beside `metrics.csv`, `metrics.jsonl`, `loss.png` and `report.html`.
///
/// @param every steps between lines of metrics
/// @param tensorboard whether there are event files for TensorBoard
/// @param histogramsEvery steps between histograms of weights and gradients in them; 0 for none
public record LoggingConfig(int every, boolean tensorboard, int histogramsEvery) {
  /// The settings of `./xlstm train` without arguments.
  public static final LoggingConfig DEFAULT = new LoggingConfig(1, false, 0);

  public LoggingConfig {
    Check.positive("every", every);
    Check.notNegative("histogramsEvery", histogramsEvery);
    if (histogramsEvery > 0 && !tensorboard) {
      throw new IllegalArgumentException(
          "histogramsEvery (%d) needs tensorboard: true".formatted(histogramsEvery));
    }
  }

  public LoggingConfig withEvery(int value) {
    return RecordComponents.with(this, "every", value);
  }

  public LoggingConfig withTensorboard(boolean value) {
    return RecordComponents.with(this, "tensorboard", value);
  }

  public LoggingConfig withHistogramsEvery(int value) {
    return RecordComponents.with(this, "histogramsEvery", value);
  }
}
