package io.xlstm4j.train.series;

import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceLossConfig.Kind;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/// Errors of forecasts, in the unit of the columns.
public final class ForecastErrors {
  /// The number of sums.
  public static final int SUMS = 6;

  private static final int COUNT = 0;
  private static final int ABSOLUTE = 1;
  private static final int SQUARED = 2;
  private static final int PINBALL = 3;
  private static final int COVERED = 4;
  private static final int CORRECT = 5;

  private final SequenceLossConfig loss;
  private final double unit;
  private final double[] sums = new double[SUMS];

  /// Makes empty sums.
  ///
  /// @param unit that errors are divided by in the sums
  ForecastErrors(SequenceLossConfig loss, double unit) {
    this.loss = loss;
    this.unit = unit;
  }

  /// Adds what a model predicts of a window. A target without a known scale counts for nothing.
  ///
  /// @param said scaled, of the last position at the end
  void add(SeriesWindows windows, SeriesWindows.Place place, float[] said) {
    for (int output = 0; output < windows.outputs(); output++) {
      add(windows.target(place, output), values(windows, place, output, said));
    }
  }

  /// Returns the predictions of a target of a window, in the column's unit.
  double[] values(SeriesWindows windows, SeriesWindows.Place place, int output, float[] said) {
    double[] values = new double[loss.width()];
    int at = said.length - (windows.outputs() - output) * values.length;
    Scale scale = windows.scale(place, output);
    for (int i = 0; i < values.length; i++) {
      values[i] = scale.original(said[at + i]);
    }
    return values;
  }

  /// Adds one forecast.
  ///
  /// @param target NaN if it is not known
  /// @param values the point, the quantiles in rising order, or the probabilities; NaN if not known
  void add(double target, double... values) {
    if (Double.isNaN(target) || Double.isNaN(values[0])) {
      return;
    }
    sums[COUNT]++;
    if (loss.kind() == Kind.CROSS_ENTROPY) {
      int likeliest = 0;
      for (int i = 1; i < values.length; i++) {
        likeliest = values[i] > values[likeliest] ? i : likeliest;
      }
      sums[CORRECT] += likeliest == (int) target ? 1 : 0;
      return;
    }
    double error = difference(target, values[loss.kind() == Kind.QUANTILE ? loss.middle() : 0]);
    sums[ABSOLUTE] += Math.abs(error);
    sums[SQUARED] += error * error;
    if (loss.kind() == Kind.QUANTILE) {
      for (int i = 0; i < values.length; i++) {
        double level = loss.levels().get(i);
        double from = difference(target, values[i]);
        sums[PINBALL] += Math.max(level * from, (level - 1) * from) / values.length;
      }
      boolean within = target >= values[0] && target <= values[values.length - 1];
      sums[COVERED] += within ? 1 : 0;
    }
  }

  private double difference(double target, double value) {
    return target / unit - value / unit;
  }

  /// Returns the sums behind [#measures]; they may be added up over processes.
  double[] sums() {
    return sums.clone();
  }

  /// Targets that count.
  long targets() {
    return (long) sums[COUNT];
  }

  SequencedMap<String, Double> measures() {
    return measures(loss, sums, unit);
  }

  /// `mae` and `rmse`, of the level nearest to a half for quantiles; `quantile_loss`, the mean
  /// pinball loss; `coverage`, the share between the lowest and the highest level; `accuracy`. What
  /// is not defined, because there is no target, is left out.
  static SequencedMap<String, Double> measures(
      SequenceLossConfig loss, double[] sums, double unit) {
    var measures = new LinkedHashMap<String, Double>();
    double count = sums[COUNT];
    if (count == 0) {
      return measures;
    }
    if (loss.kind() == Kind.CROSS_ENTROPY) {
      measures.put("accuracy", sums[CORRECT] / count);
      return measures;
    }
    measures.put("mae", sums[ABSOLUTE] / count * unit);
    measures.put("rmse", Math.sqrt(sums[SQUARED] / count) * unit);
    if (loss.kind() == Kind.QUANTILE) {
      measures.put("quantile_loss", sums[PINBALL] / count * unit);
      if (loss.levels().size() > 1) {
        measures.put("coverage", sums[COVERED] / count);
      }
    }
    return measures;
  }
}
