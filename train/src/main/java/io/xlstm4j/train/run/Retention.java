package io.xlstm4j.train.run;

import io.xlstm4j.train.config.CheckpointsConfig;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Decides which states are kept: the last n, the best n by validation loss, and every k-th step.
final class Retention {
  private Retention() {}

  /// @param loss of the validation at that step; null if there was none
  record Kept(int step, @Nullable Double loss) {}

  /// The steps that no rule wants any more.
  static Set<Integer> doomed(List<Kept> all, CheckpointsConfig config) {
    var wanted = new HashSet<Integer>();
    all.stream()
        .sorted(Comparator.comparingInt(Kept::step).reversed())
        .limit(config.keepLast())
        .forEach(kept -> wanted.add(kept.step()));
    all.stream()
        .filter(kept -> kept.loss() != null)
        .sorted(
            Comparator.comparingDouble(Retention::lossOf).thenComparingInt(Kept::step)) // the first
        .limit(config.keepBest())
        .forEach(kept -> wanted.add(kept.step()));
    if (config.keepEvery() > 0) {
      all.stream()
          .filter(kept -> kept.step() % config.keepEvery() == 0)
          .forEach(kept -> wanted.add(kept.step()));
    }
    var doomed = new HashSet<Integer>();
    all.forEach(kept -> doomed.add(kept.step()));
    doomed.removeAll(wanted);
    return doomed;
  }

  private static double lossOf(Kept kept) {
    return kept.loss() == null ? Double.POSITIVE_INFINITY : kept.loss();
  }
}
