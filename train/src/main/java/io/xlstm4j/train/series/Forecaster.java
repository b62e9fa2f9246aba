package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.torch.SequenceCheckpoint;
import io.xlstm4j.torch.SequenceModel;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.SeriesConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

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
  /// @param step rows after the last one, from 1; 0 for the last one itself
  /// @param values the point, the quantiles in rising order, or the probabilities of the classes
  public record Forecast(String id, int step, String column, double[] values) {}

  public SeriesConfig config() {
    return scales.config();
  }

  /// What the values of a forecast are called.
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

  /// What follows after the last row of each series; of a series with fewer rows than the context,
  /// after those that there are.
  ///
  /// @throws InvalidInputException as [CsvSeries#read]
  public List<Forecast> forecast(Path file) {
    SeriesConfig config = config();
    var forecasts = new ArrayList<Forecast>();
    for (Series series : CsvSeries.read(file, config)) {
      int from = Math.max(0, series.rows() - config.context());
      float[] features = SeriesWindows.features(scales, series, from, series.rows());
      float[] said = model.predict(List.of(features)).getFirst();
      int width = model.config().loss().width();
      int at = said.length - config.outputs() * width; // the last position, if there are more
      for (int output = 0; output < config.outputs(); output++) {
        String column = config.targetColumns().get(output % config.targetColumns().size());
        Scale scale = scales.of(series, column, from, series.rows());
        double[] values = new double[width];
        for (int i = 0; i < width; i++) {
          values[i] = scale.original(said[at + output * width + i]);
        }
        int step = output / config.targetColumns().size() + (config.horizon() == 0 ? 0 : 1);
        forecasts.add(new Forecast(series.id(), step, column, values));
      }
    }
    return forecasts;
  }

  /// How wrong forecasts are.
  ///
  /// @param lossName what the model minimises
  /// @param loss of scaled values, mean over the targets
  /// @param measures in the unit of the columns: `mae`, `mse`, `rmse`, `quantile_loss`, `coverage`,
  ///   or `accuracy`
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
            model.config().loss(), WindowErrors.sums(model, windows, count, 0, count, BATCH));
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
    SeriesConfig here = config().withFile(file.toString());
    return new SeriesWindows(new Scales(here, scales.byId()), CsvSeries.read(file, here), part);
  }

  /// How good forecasts are beside those of the same season before.
  ///
  /// @param windows of the validation part
  /// @param model measures by name
  /// @param seasonalNaive the same measures of the value a season ago, its quantiles those of the
  ///   changes over a season in the training part
  public record Comparison(
      long windows,
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
          "season (%d) must be in [1, context (%d)]".formatted(season, config.context()));
    }
    SeriesWindows windows = windows(file, SeriesWindows.Part.VALIDATION);
    var ours = new ForecastErrors(model.config().loss());
    var naive = new ForecastErrors(model.config().loss());
    for (long i = 0; i < windows.size(); i++) {
      SeriesWindows.Place place = windows.place(i);
      ours.add(windows, place, model.predict(List.of(windows.item(i).features())).getFirst());
      for (int output = 0; output < config.outputs(); output++) {
        naive.add(windows.target(place, output), seasonal(place, output, season));
      }
    }
    return new Comparison(windows.size(), ours.measures(), naive.measures());
  }

  private double[] seasonal(SeriesWindows.Place place, int output, int season) {
    SeriesConfig config = config();
    int columns = config.targetColumns().size();
    double[] values = place.series().column(config.targetColumns().get(output % columns));
    int step = output / columns; // from 0
    int back = season * (step / season + 1);
    double point = values[place.from() + config.context() + step - back];
    List<Double> levels = model.config().loss().levels();
    if (levels.isEmpty()) {
      return new double[] {point};
    }
    int split = place.series().split(config.validationFraction());
    double[] changes = new double[Math.max(0, split - back)];
    for (int row = back; row < split; row++) {
      changes[row - back] = values[row] - values[row - back];
    }
    changes = Arrays.stream(changes).filter(Double::isFinite).sorted().toArray();
    double[] quantiles = new double[levels.size()];
    for (int i = 0; i < quantiles.length; i++) {
      double at = levels.get(i) * Math.max(0, changes.length - 1);
      int below = (int) at;
      double change =
          changes.length == 0
              ? 0
              : changes[below]
                  + (at - below)
                      * (changes[Math.min(below + 1, changes.length - 1)] - changes[below]);
      quantiles[i] = point + change;
    }
    return quantiles;
  }

  @Override
  public void close() {
    model.close();
  }
}
