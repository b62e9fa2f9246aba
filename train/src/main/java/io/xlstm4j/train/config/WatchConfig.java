package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// What a run writes for those who watch it, beside `metrics.csv`, `metrics.jsonl`, `loss.png` and
/// `report.html`.
///
/// @param every steps between lines of metrics
/// @param tensorboard whether there are event files for TensorBoard
/// @param histogramsEvery steps between histograms of weights and gradients in them; 0 for none
public record WatchConfig(int every, boolean tensorboard, int histogramsEvery) {
  /// What `./xlstm train` takes without arguments.
  public static final WatchConfig DEFAULT = new WatchConfig(1, false, 0);

  public WatchConfig {
    Check.positive("every", every);
    Check.notNegative("histogramsEvery", histogramsEvery);
    if (histogramsEvery > 0 && !tensorboard) {
      throw new IllegalArgumentException(
          "histogramsEvery (%d) needs tensorboard: true".formatted(histogramsEvery));
    }
  }

  public WatchConfig withEvery(int value) {
    return RecordComponents.with(this, "every", value);
  }

  public WatchConfig withTensorboard(boolean value) {
    return RecordComponents.with(this, "tensorboard", value);
  }

  public WatchConfig withHistogramsEvery(int value) {
    return RecordComponents.with(this, "histogramsEvery", value);
  }
}
