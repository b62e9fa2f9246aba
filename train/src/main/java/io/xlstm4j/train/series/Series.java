package io.xlstm4j.train.series;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A series in the order of time.
///
/// @param id empty if the file has one series
/// @param rows how many
/// @param columns values by column name, NaN where they are missing
/// @param lines of the file that the rows come from; 0 for a row that was put into a gap
/// @param times of the rows; null if the file has none
public record Series(
    String id, int rows, Map<String, double[]> columns, long[] lines, @Nullable TimeAxis times) {
  public Series {
    columns = Map.copyOf(columns);
  }

  /// The values of a column that the reader was asked for.
  public double[] column(String name) {
    double[] values = columns.get(name);
    if (values == null) {
      throw new IllegalArgumentException("column (" + name + ") was not read");
    }
    return values;
  }

  /// The first row that is not trained on.
  public int split(double validationFraction) {
    return rows - (int) Math.round(rows * validationFraction);
  }
}
