package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// The states of a run that are kept. The last one and the best model always are.
///
/// @param every steps between states to resume from
/// @param keepLast how many of the latest, `training/` not counted, stay in `checkpoints/`
/// @param keepBest how many of the best by validation loss stay there
/// @param keepEvery states at multiples of so many steps stay there; 0 for none
public record CheckpointsConfig(int every, int keepLast, int keepBest, int keepEvery) {
  /// The settings of `./xlstm train` without arguments.
  public static final CheckpointsConfig DEFAULT = new CheckpointsConfig(150, 0, 0, 0);

  public CheckpointsConfig {
    Check.positive("every", every);
    Check.notNegative("keepLast", keepLast);
    Check.notNegative("keepBest", keepBest);
    Check.notNegative("keepEvery", keepEvery);
  }

  /// Returns whether anything stays but the last state.
  public boolean keepsAny() {
    return keepLast > 0 || keepBest > 0 || keepEvery > 0;
  }

  public CheckpointsConfig withEvery(int value) {
    return RecordComponents.with(this, "every", value);
  }

  public CheckpointsConfig withKeepLast(int value) {
    return RecordComponents.with(this, "keepLast", value);
  }

  public CheckpointsConfig withKeepBest(int value) {
    return RecordComponents.with(this, "keepBest", value);
  }

  public CheckpointsConfig withKeepEvery(int value) {
    return RecordComponents.with(this, "keepEvery", value);
  }
}
