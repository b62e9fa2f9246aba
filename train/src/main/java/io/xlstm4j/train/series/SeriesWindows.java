package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import io.xlstm4j.train.config.SeriesConfig;
import java.util.Arrays;
import java.util.List;

/// Windows over series: `context` rows to read, `horizon` rows after them to predict.
///
/// A window to train on ends, its horizon included, before the validation part of its series
/// begins; one to validate on predicts rows of that part only, and may read older ones.
public final class SeriesWindows implements SequenceDataset {
  private final SeriesConfig config;
  private final Scales scales;
  private final List<Series> all;
  private final boolean training;
  private final long[] ends; // windows of the series up to each, itself included

  /// Whose windows.
  public enum Part {
    TRAINING,
    VALIDATION
  }

  /// @throws InvalidInputException if no series is long enough for one window
  public SeriesWindows(Scales scales, List<Series> all, Part part) {
    this.config = scales.config();
    this.scales = scales;
    this.all = List.copyOf(all);
    this.training = part == Part.TRAINING;
    ends = new long[all.size()];
    long end = 0;
    for (int i = 0; i < ends.length; i++) {
      end += Math.max(0, count(all.get(i)));
      ends[i] = end;
    }
    if (end == 0) {
      throw new InvalidInputException(
          "%s: no %s window of context (%d) and horizon (%d) fits; the longest series has %d rows, validation_fraction is %s"
              .formatted(
                  config.file(),
                  training ? "training" : "validation",
                  config.context(),
                  config.horizon(),
                  all.stream().mapToInt(Series::rows).max().orElse(0),
                  config.validationFraction()));
    }
  }

  private int count(Series series) {
    int span = config.context() + config.horizon();
    int split = series.split(config.validationFraction());
    return training ? split - span + 1 : series.rows() - span - first(series) + 1;
  }

  /// The first row of a series' first window.
  private int first(Series series) {
    int split = series.split(config.validationFraction());
    int toTarget = config.horizon() == 0 ? config.context() - 1 : config.context();
    return training ? 0 : Math.max(0, split - toTarget);
  }

  @Override
  public long size() {
    return ends[ends.length - 1];
  }

  public SeriesConfig config() {
    return config;
  }

  /// Numbers predicted of a window.
  public int outputs() {
    return config.outputs();
  }

  /// Where a window lies.
  ///
  /// @param from the first row that is read
  public record Place(Series series, int from) {}

  public Place place(long index) {
    if (index < 0 || index >= size()) {
      throw new IndexOutOfBoundsException(
          "window (%d) must be in [0, %d)".formatted(index, size()));
    }
    int at = Arrays.binarySearch(ends, index + 1);
    at = at < 0 ? -at - 1 : at;
    while (at > 0 && ends[at - 1] == ends[at]) {
      at--; // series without a window share their end with the one before
    }
    Series series = all.get(at);
    return new Place(series, first(series) + (int) (index - (at == 0 ? 0 : ends[at - 1])));
  }

  @Override
  public Item item(long index) {
    Place place = place(index);
    int context = config.context();
    int outputs = config.outputs();
    float[] features = features(scales, place.series(), place.from(), place.from() + context);
    boolean every = config.pooling() == Pooling.EVERY;
    float[] targets = new float[every ? context * outputs : outputs];
    for (int position = every ? 0 : context - 1; position < context; position++) {
      int at = every ? position * outputs : 0;
      boolean counts = training || position == context - 1; // else it is of the training part
      for (int output = 0; output < outputs; output++) {
        targets[at + output] = counts ? (float) scaledTarget(place, position, output) : Float.NaN;
      }
    }
    return new Item(context, features, targets);
  }

  private double scaledTarget(Place place, int position, int output) {
    return scale(place, output).scaled(target(place, position, output));
  }

  /// The scale of an output of a window.
  public Scale scale(Place place, int output) {
    return scales.of(place.series(), column(output), place.from(), place.from() + config.context());
  }

  /// What is to be predicted after the window, in the column's unit.
  public double target(Place place, int output) {
    return target(place, config.context() - 1, output);
  }

  private double target(Place place, int position, int output) {
    int step = output / config.targetColumns().size() + (config.horizon() == 0 ? 0 : 1);
    return place.series().column(column(output))[place.from() + position + step];
  }

  private String column(int output) {
    return config.targetColumns().get(output % config.targetColumns().size());
  }

  /// What the model reads of rows `[from, to)`: `(to - from, F)`.
  static float[] features(Scales scales, Series series, int from, int to) {
    SeriesConfig config = scales.config();
    List<String> columns = config.inputColumns();
    int inputs = config.inputs();
    float[] features = new float[(to - from) * inputs];
    for (int c = 0; c < columns.size(); c++) {
      double[] values = series.column(columns.get(c));
      Scale scale = scales.of(series, columns.get(c), from, to);
      for (int row = from; row < to; row++) {
        int at = (row - from) * inputs;
        boolean missing = Double.isNaN(values[row]);
        features[at + c] = missing ? 0 : (float) scale.scaled(values[row]);
        if (inputs > columns.size()) {
          features[at + columns.size() + c] = missing ? 1 : 0;
        }
      }
    }
    return features;
  }
}
