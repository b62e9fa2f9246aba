package io.xlstm4j.train.series;

import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import java.util.ArrayList;
import java.util.List;

/// Looks for values so far from the others that float32 cannot tell the others apart once they are
/// scaled.
final class Outliers {
  private final SeriesConfig config;

  private Outliers(SeriesConfig config) {
    this.config = config;
  }

  /// Returns a warning for each column of a series with such a value in the rows that decide its
  /// scale.
  static List<String> warnings(SeriesConfig config, List<Series> all) {
    var outliers = new Outliers(config);
    var warnings = new ArrayList<String>();
    for (Series series : all) {
      int rows =
          switch (config.scaling()) {
            case NONE -> 0; // values stay as they are
            case WINDOW -> series.rows();
            case SERIES -> series.split(config.validationFraction());
          };
      for (String column : series.columns().keySet().stream().sorted().toList()) {
        if (!config.classifies() || !config.targetColumns().contains(column)) {
          outliers.look(series, column, rows, warnings);
        }
      }
    }
    return warnings;
  }

  private void look(Series series, String column, int rows, List<String> warnings) {
    double[] values = series.column(column);
    Scale scale = Scale.of(values, 0, rows);
    if (!scale.isKnown() || scale.isConstant()) {
      return;
    }
    float most = majority(values, rows, scale);
    int known = 0;
    int equal = 0;
    double first = Double.NaN;
    boolean differ = false;
    int farthest = 0;
    for (int i = 0; i < rows; i++) {
      if (Double.isNaN(values[i])) {
        continue;
      }
      known++;
      farthest = distance(values, i, scale) > distance(values, farthest, scale) ? i : farthest;
      if ((float) scale.scaled(values[i]) == most) {
        equal++;
        differ |= equal > 1 && values[i] != first;
        first = equal == 1 ? values[i] : first;
      }
    }
    if (differ && 2 * equal > known) {
      warnings.add(
          "warning: %s: line %d: column %s is %s, beside which float32 cannot tell %d other values%s apart once they are scaled; correct it, or leave it empty with series.missing: mask"
              .formatted(
                  OneLine.of(config.file()),
                  series.lines()[farthest],
                  OneLine.of(column),
                  values[farthest],
                  equal,
                  series.id().isEmpty() ? "" : " of series " + OneLine.of(series.id())));
    }
  }

  private static double distance(double[] values, int row, Scale scale) {
    return Double.isNaN(values[row]) ? -1 : Math.abs(scale.scaled(values[row]));
  }

  /// The scaled value in float32 that more than half of the values have, if there is one.
  private static float majority(double[] values, int rows, Scale scale) {
    float candidate = Float.NaN;
    int votes = 0;
    for (int i = 0; i < rows; i++) {
      if (!Double.isNaN(values[i])) {
        float scaled = (float) scale.scaled(values[i]);
        if (votes == 0) {
          candidate = scaled;
        }
        votes += scaled == candidate ? 1 : -1;
      }
    }
    return candidate;
  }
}
