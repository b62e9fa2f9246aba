package io.xlstm4j.train.series;

import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceLossConfig.Kind;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/// How far forecasts are from what came, in the unit of the columns.
public final class ForecastErrors {
  /// How many sums there are.
  public static final int SUMS = 6;

  private static final int COUNT = 0;
  private static final int ABSOLUTE = 1;
  private static final int SQUARED = 2;
  private static final int PINBALL = 3;
  private static final int COVERED = 4;
  private static final int CORRECT = 5;

  private final SequenceLossConfig loss;
  private final double[] sums = new double[SUMS];

  public ForecastErrors(SequenceLossConfig loss) {
    this.loss = loss;
  }

  /// Adds what a model said of a window.
  ///
  /// @param said scaled, of the last position at the end
  public void add(SeriesWindows windows, SeriesWindows.Place place, float[] said) {
    int width = loss.width();
    int outputs = windows.outputs();
    int at = said.length - outputs * width;
    for (int output = 0; output < outputs; output++) {
      double[] values = new double[width];
      Scale scale = windows.scale(place, output);
      for (int i = 0; i < width; i++) {
        values[i] = scale.original(said[at + output * width + i]);
      }
      add(windows.target(place, output), values);
    }
  }

  /// Adds one forecast.
  ///
  /// @param target NaN if it is not known
  /// @param values the point, the quantiles in rising order, or the probabilities
  public void add(double target, double... values) {
    if (Double.isNaN(target)) {
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
    double error = target - values[loss.kind() == Kind.QUANTILE ? loss.middle() : 0];
    sums[ABSOLUTE] += Math.abs(error);
    sums[SQUARED] += error * error;
    if (loss.kind() == Kind.QUANTILE) {
      for (int i = 0; i < values.length; i++) {
        double level = loss.levels().get(i);
        double from = target - values[i];
        sums[PINBALL] += Math.max(level * from, (level - 1) * from) / values.length;
      }
      boolean within = target >= values[0] && target <= values[values.length - 1];
      sums[COVERED] += within ? 1 : 0;
    }
  }

  /// What [#measures] makes means of; may be added up over processes.
  public double[] sums() {
    return sums.clone();
  }

  public SequencedMap<String, Double> measures() {
    return measures(loss, sums);
  }

  /// `mae` and `rmse`, of the level nearest to a half for quantiles; `quantile_loss`, the mean
  /// pinball loss; `coverage`, the share between the lowest and the highest level; `accuracy`.
  public static SequencedMap<String, Double> measures(SequenceLossConfig loss, double[] sums) {
    var measures = new LinkedHashMap<String, Double>();
    double count = sums[COUNT];
    if (loss.kind() == Kind.CROSS_ENTROPY) {
      measures.put("accuracy", sums[CORRECT] / count);
      return measures;
    }
    measures.put("mae", sums[ABSOLUTE] / count);
    measures.put("rmse", Math.sqrt(sums[SQUARED] / count));
    if (loss.kind() == Kind.QUANTILE) {
      measures.put("quantile_loss", sums[PINBALL] / count);
      if (loss.levels().size() > 1) {
        measures.put("coverage", sums[COVERED] / count);
      }
    }
    return measures;
  }
}
