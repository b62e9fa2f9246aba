package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.torch.SequenceCheckpoint;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.SeriesConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// A model that was trained on series, with its scales: forecasts in the unit of the columns.
public final class Forecaster implements AutoCloseable {
  private static final int BATCH = 64;

  private final SequenceModel model;
  private final Scales scales;

  private Forecaster(SequenceModel model, Scales scales) {
    this.model = model;
    this.scales = scales;
  }

  /// @param device as of [Torch#device]
  /// @throws InvalidInputException if the folder holds no model of series
  public static Forecaster open(Path folder, String device) {
    Scales scales = Scales.read(folder);
    return new Forecaster(SequenceCheckpoint.open(folder, Torch.device(device)), scales);
  }

  /// A number that is still to come.
  ///
  /// @param id of the series
  /// @param time of its row, as the file writes times; null if the times have no regular step
  /// @param step rows after the last one, from 1; 0 for the last one itself
  /// @param values the point, the quantiles in rising order, or the probabilities of the classes;
  ///   NaN if the last rows of the series have no value of the column to scale by
  public record Forecast(
      String id, @Nullable String time, int step, String column, double[] values) {}

  /// Forecasts the series of a file.
  ///
  /// @param hasTimes whether every forecast has a time
  /// @param notes what a person should know about the file, a line each
  public record Forecasts(List<Forecast> forecasts, boolean hasTimes, List<String> notes) {
    public Forecasts {
      forecasts = List.copyOf(forecasts);
      notes = List.copyOf(notes);
    }
  }

  public SeriesConfig config() {
    return scales.config();
  }

  /// Returns the names of a forecast's values.
  public List<String> names() {
    SequenceLossConfig loss = model.config().loss();
    return switch (loss.kind()) {
      case MSE, MAE -> List.of("forecast");
      case QUANTILE -> loss.levels().stream().map(String::valueOf).toList();
      case CROSS_ENTROPY -> {
        var names = new ArrayList<String>();
        for (int i = 0; i < loss.classes(); i++) {
          names.add("class_" + i);
        }
        yield names;
      }
    };
  }

  /// Forecasts after the last row of each series; of a series with fewer rows than the context,
  /// after those that there are.
  ///
  /// @throws InvalidInputException as [CsvSeries#read]
  public Forecasts forecast(Path file) {
    Scales here = scales.withFile(file);
    SeriesConfig config = here.config();
    SeriesTable table = CsvSeries.read(file, config, scales.dateOrder());
    var notes = new ArrayList<>(table.notes());
    var unknown = new LinkedHashSet<String>();
    var forecasts = new ArrayList<Forecast>();
    for (Series series : table.series()) {
      int from = Math.max(0, series.rows() - config.context());
      float[] features = SeriesWindows.features(here, series, from, series.rows());
      float[] predicted = model.predict(List.of(features)).getFirst();
      int width = model.config().loss().width();
      int at = predicted.length - config.outputs() * width; // the last position, if there are more
      for (int output = 0; output < config.outputs(); output++) {
        String column = config.targetColumns().get(output % config.targetColumns().size());
        Scale scale = here.of(series, column, from, series.rows());
        if (!scale.isKnown()) {
          unknown.add(series.id().isEmpty() ? column : column + " of " + series.id());
        }
        double[] values = new double[width];
        for (int i = 0; i < width; i++) {
          values[i] = scale.original(predicted[at + output * width + i]);
        }
        int step = output / config.targetColumns().size() + (config.horizon() == 0 ? 0 : 1);
        String time = series.times() == null ? null : series.times().timeAfter(step);
        forecasts.add(new Forecast(series.id(), time, step, column, values));
      }
    }
    if (!unknown.isEmpty()) {
      notes.add(
          "%s: not forecast, because the last rows have no value to scale by: %s"
              .formatted(OneLine.of(file), OneLine.of(String.join(", ", unknown))));
    }
    boolean hasTimes = forecasts.stream().allMatch(forecast -> forecast.time() != null);
    return new Forecasts(forecasts, hasTimes, notes);
  }

  /// Errors of forecasts.
  ///
  /// @param lossName what the model minimises
  /// @param loss of scaled values, mean over the targets
  /// @param measures in the unit of the columns: `mae`, `mse`, `rmse`, `quantile_loss`, `coverage`,
  ///   or `accuracy`; one that is not defined is not there
  /// @param windows that were predicted
  /// @param targets values that were there to compare with
  public record Errors(
      String lossName,
      double loss,
      SequencedMap<String, Double> measures,
      long windows,
      long targets) {}

  /// Measures every window of a part of a file.
  ///
  /// @param training the part that is trained on; else the last one, which is not
  /// @throws InvalidInputException as [CsvSeries#read] and [SeriesWindows] say
  public Errors evaluate(Path file, boolean training) {
    SeriesWindows windows =
        windows(file, training ? SeriesWindows.Part.TRAINING : SeriesWindows.Part.VALIDATION);
    int count = Math.toIntExact(windows.size());
    WindowErrors errors =
        WindowErrors.of(
            model.config().loss(),
            windows,
            WindowErrors.sums(model, windows, count, 0, count, BATCH, () -> false));
    var measures = new LinkedHashMap<String, Double>();
    errors
        .measures()
        .forEach((name, value) -> {
          if (name.equals("rmse")) {
            measures.put("mse", value * value);
          }
          measures.put(name, value);
        });
    return new Errors(
        model.config().loss().kind().toString(), errors.loss(), measures, count, errors.targets());
  }

  private SeriesWindows windows(Path file, SeriesWindows.Part part) {
    Scales here = scales.withFile(file);
    return new SeriesWindows(
        here, CsvSeries.read(file, here.config(), scales.dateOrder()).series(), part);
  }

  /// Errors of forecasts beside those of the seasonal naive forecast.
  ///
  /// @param windows of the validation part
  /// @param targets that both are measured on
  /// @param skipped further targets, without a value the season before
  /// @param model measures by name; empty if there are no targets
  /// @param seasonalNaive the same measures of the value a season ago, its quantiles those of the
  ///   changes over a season in the training part
  public record Comparison(
      long windows,
      long targets,
      long skipped,
      SequencedMap<String, Double> model,
      SequencedMap<String, Double> seasonalNaive) {}

  /// Compares on every window of the validation part.
  ///
  /// @param season rows after which a series repeats itself; 1 for the last value
  /// @throws InvalidInputException if the model tells classes apart, or a season is longer than the
  ///   context
  public Comparison compare(Path file, int season) {
    SeriesConfig config = config();
    if (config.classifies() || config.horizon() == 0) {
      throw new InvalidInputException(
          "a seasonal comparison needs a model that forecasts numbers, with a horizon above 0");
    }
    if (season < 1 || season > config.context()) {
      throw new InvalidInputException(
          "season (%d) must be in [1, %d], the model's series.context"
              .formatted(season, config.context()));
    }
    SeriesWindows windows = windows(file, SeriesWindows.Part.VALIDATION);
    var ours = new ForecastErrors(model.config().loss(), windows.unit());
    var naive = new ForecastErrors(model.config().loss(), windows.unit());
    var baseline = new SeasonalNaive(config, model.config().loss().levels(), season);
    long skipped = 0;
    for (long first = 0; first < windows.size(); first += BATCH) {
      long end = Math.min(windows.size(), first + BATCH);
      var features = new ArrayList<float[]>();
      for (long i = first; i < end; i++) {
        features.add(windows.item(i).features());
      }
      List<float[]> predicted = model.predict(features);
      for (long i = first; i < end; i++) {
        SeriesWindows.Place place = windows.place(i);
        for (int output = 0; output < config.outputs(); output++) {
          double target = windows.target(place, output);
          double[] before = baseline.predict(place, output);
          if (Double.isNaN(before[0])) {
            skipped += Double.isNaN(target) ? 0 : 1;
            continue;
          }
          ours.add(target, ours.values(windows, place, output, predicted.get((int) (i - first))));
          naive.add(target, before);
        }
      }
    }
    return new Comparison(
        windows.size(), naive.targets(), skipped, ours.measures(), naive.measures());
  }

  @Override
  public void close() {
    model.close();
  }
}
