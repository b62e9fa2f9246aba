package io.xlstm4j.train.series;

/// Brings a column to mean 0 and deviation 1, and back.
///
/// @param mean in the column's unit
/// @param deviation in the column's unit, above 0
public record Scale(double mean, double deviation) {
  public static final Scale NONE = new Scale(0, 1);

  /// Of the values `[from, to)` that are there; a constant keeps its deviation of 1.
  static Scale of(double[] values, int from, int to) {
    double sum = 0;
    int count = 0;
    for (int i = from; i < to; i++) {
      if (!Double.isNaN(values[i])) {
        sum += values[i];
        count++;
      }
    }
    if (count == 0) {
      return NONE;
    }
    double mean = sum / count;
    double squares = 0;
    for (int i = from; i < to; i++) {
      if (!Double.isNaN(values[i])) {
        squares += (values[i] - mean) * (values[i] - mean);
      }
    }
    double deviation = Math.sqrt(squares / count);
    return new Scale(mean, deviation > 1e-9 * Math.max(1, Math.abs(mean)) ? deviation : 1);
  }

  public double scaled(double value) {
    return (value - mean) / deviation;
  }

  public double original(double scaled) {
    return scaled * deviation + mean;
  }
}
