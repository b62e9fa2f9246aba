package io.xlstm4j.train.series;

import io.xlstm4j.train.config.SeriesConfig;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The baseline that repeats the value of a season ago; its quantiles are those of the changes over
/// a season in the training part of the series.
final class SeasonalNaive {
  private final SeriesConfig config;
  private final List<Double> levels;
  private final int season;
  private final Map<Changes, double[]> sorted = new HashMap<>();

  /// @param id of the series
  /// @param back rows over which values change
  private record Changes(String id, String column, int back) {}

  /// @param levels of the quantiles; empty for a point
  /// @param season in rows
  SeasonalNaive(SeriesConfig config, List<Double> levels, int season) {
    this.config = config;
    this.levels = levels;
    this.season = season;
  }

  /// Predicts an output of a window.
  ///
  /// @return the point, or the quantiles; NaN if there is no value a season ago
  double[] predict(SeriesWindows.Place place, int output) {
    int columns = config.targetColumns().size();
    String column = config.targetColumns().get(output % columns);
    double[] values = place.series().column(column);
    int step = output / columns; // from 0
    int back = season * (step / season + 1);
    double point = values[place.from() + config.context() + step - back];
    if (levels.isEmpty() || Double.isNaN(point)) {
      return new double[] {point};
    }
    double[] changes =
        sorted.computeIfAbsent(
            new Changes(place.series().id(), column, back),
            _ -> changes(values, place.series().split(config.validationFraction()), back));
    double[] quantiles = new double[levels.size()];
    for (int i = 0; i < quantiles.length; i++) {
      quantiles[i] = point + quantile(changes, levels.get(i));
    }
    return quantiles;
  }

  private static double[] changes(double[] values, int split, int back) {
    double[] changes = new double[Math.max(0, split - back)];
    for (int row = back; row < split; row++) {
      changes[row - back] = values[row] - values[row - back];
    }
    return Arrays.stream(changes).filter(Double::isFinite).sorted().toArray();
  }

  /// Linear between the two nearest; 0 if there are none.
  private static double quantile(double[] sorted, double level) {
    if (sorted.length == 0) {
      return 0;
    }
    double at = level * (sorted.length - 1);
    int below = (int) at;
    double next = sorted[Math.min(below + 1, sorted.length - 1)];
    return sorted[below] + (at - below) * (next - sorted[below]);
  }
}
