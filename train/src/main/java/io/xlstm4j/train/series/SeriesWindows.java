package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.SequenceModelConfig.Pooling;
import io.xlstm4j.train.config.SeriesConfig;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Windows over series: `context` rows to read, `horizon` rows after them to predict.
///
/// A window to train on ends, its horizon included, before the validation part of its series
/// begins; one to validate on predicts rows of that part only, and may read older ones. Windows
/// without a known target are left out.
public final class SeriesWindows implements SequenceDataset {
  private final SeriesConfig config;
  private final Scales scales;
  private final List<Series> all;
  private final boolean training;
  private final long[] ends; // windows of the series up to each, itself included
  private final int[] @Nullable [] starts; // first rows, of series in which not all windows count
  private final double unit;

  /// Whose windows.
  public enum Part {
    TRAINING,
    VALIDATION
  }

  /// Finds the windows of a part of every series.
  ///
  /// @throws InvalidInputException if no series is long enough for one window, or no window has a
  ///   target
  public SeriesWindows(Scales scales, List<Series> all, Part part) {
    this.config = scales.config();
    this.scales = scales;
    this.all = List.copyOf(all);
    this.training = part == Part.TRAINING;
    ends = new long[all.size()];
    starts = new int[all.size()][];
    unit = unitOf(all);
    long end = 0;
    long fitting = 0;
    for (int i = 0; i < ends.length; i++) {
      int count = Math.max(0, count(all.get(i)));
      fitting += count;
      if (config.missing() == SeriesConfig.Missing.MASK) {
        int[] known = knownStarts(all.get(i), count);
        starts[i] = known;
        count = known.length;
      }
      end += count;
      ends[i] = end;
    }
    if (fitting == 0) {
      int longest = all.stream().mapToInt(Series::rows).max().orElse(0);
      throw new InvalidInputException(
          "%s: no %s window of context (%d) and horizon (%d) fits; the longest series has %d %s, validation_fraction is %s"
              .formatted(
                  OneLine.of(config.file()),
                  partName(),
                  config.context(),
                  config.horizon(),
                  longest,
                  longest == 1 ? "row" : "rows",
                  config.validationFraction()));
    }
    if (end == 0) {
      throw new InvalidInputException(
          "%s: no target (%s) has a value in the %s part%s"
              .formatted(
                  OneLine.of(config.file()),
                  OneLine.of(String.join(", ", config.targetColumns())),
                  partName(),
                  config.scaling() == SeriesConfig.Scaling.NONE
                      ? ""
                      : ", or none that follows a value by which it could be scaled"));
    }
  }

  private String partName() {
    return training ? "training" : "validation";
  }

  /// A power of two near the largest target, by which errors are divided so that no sum of squares
  /// overflows.
  private double unitOf(List<Series> series) {
    double largest = 0;
    for (Series one : series) {
      for (String column : config.targetColumns()) {
        for (double value : one.column(column)) {
          largest = Double.isNaN(value) ? largest : Math.max(largest, Math.abs(value));
        }
      }
    }
    return largest == 0 ? 1 : Scale.powerOfTwo(largest);
  }

  double unit() {
    return unit;
  }

  /// First rows of the windows that have a target.
  private int[] knownStarts(Series series, int count) {
    int[] found = new int[count];
    int size = 0;
    int first = first(series);
    boolean every = training && config.pooling() == Pooling.EVERY;
    for (int from = first; from < first + count; from++) {
      boolean known = false;
      for (int output = 0; output < config.outputs() && !known; output++) {
        Place place = new Place(series, from);
        for (int at = every ? 0 : config.context() - 1; at < config.context() && !known; at++) {
          known = !Double.isNaN(target(place, at, output)) && scale(place, output).isKnown();
        }
      }
      if (known) {
        found[size++] = from;
      }
    }
    return Arrays.copyOf(found, size);
  }

  /// Makes every window once, so that a value that float32 cannot hold is found now.
  ///
  /// @throws InvalidInputException if there is one, with its line
  void check() {
    for (long i = 0; i < size(); i++) {
      item(i);
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

  /// The place of a window.
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
    int number = (int) (index - (at == 0 ? 0 : ends[at - 1]));
    int[] known = starts[at];
    return new Place(series, known == null ? first(series) + number : known[number]);
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
        targets[at + output] = counts ? scaledTarget(place, position, output) : Float.NaN;
      }
    }
    return new Item(context, features, targets);
  }

  private float scaledTarget(Place place, int position, int output) {
    int row = place.from() + position + stepOf(output);
    return narrow(config, place.series(), column(output), row, scale(place, output));
  }

  private int stepOf(int output) {
    return output / config.targetColumns().size() + (config.horizon() == 0 ? 0 : 1);
  }

  /// A scaled value in float32; NaN if it is missing, or its scale is not known.
  private static float narrow(
      SeriesConfig config, Series series, String column, int row, Scale scale) {
    double value = series.column(column)[row];
    double scaled = scale.scaled(value);
    float narrow = (float) scaled;
    if (Float.isInfinite(narrow)) {
      throw new InvalidInputException(
          "%s: line %d: column %s is %s, which scaled by the mean %s and the deviation %s is too large for float32"
              .formatted(
                  OneLine.of(config.file()),
                  series.lines()[row],
                  OneLine.of(column),
                  value,
                  scale.mean(),
                  scale.unit()));
    }
    return narrow;
  }

  /// The scale of an output of a window.
  public Scale scale(Place place, int output) {
    return scales.of(place.series(), column(output), place.from(), place.from() + config.context());
  }

  /// Returns the target after the window, in the column's unit.
  public double target(Place place, int output) {
    return target(place, config.context() - 1, output);
  }

  private double target(Place place, int position, int output) {
    return place.series().column(column(output))[place.from() + position + stepOf(output)];
  }

  private String column(int output) {
    return config.targetColumns().get(output % config.targetColumns().size());
  }

  /// Returns the model's inputs for rows `[from, to)`: `(to - from, F)`.
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
        features[at + c] = missing ? 0 : narrow(config, series, columns.get(c), row, scale);
        if (inputs > columns.size()) {
          features[at + columns.size() + c] = missing ? 1 : 0;
        }
      }
    }
    return features;
  }
}
