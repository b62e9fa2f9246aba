package io.xlstm4j.train.series;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// How the data of a model is scaled: what a checkpoint keeps beside the weights, in `series.json`.
///
/// @param config of the data
/// @param byId scale by column, by series; empty unless each series has its own
public record Scales(SeriesConfig config, Map<String, Map<String, Scale>> byId) {
  public static final String FILE_NAME = "series.json";

  /// Learns the scales from the training part.
  static Scales learn(SeriesConfig config, List<Series> all) {
    var byId = new LinkedHashMap<String, Map<String, Scale>>();
    if (config.scaling() == SeriesConfig.Scaling.SERIES) {
      for (Series series : all) {
        byId.put(series.id(), ofRows(series, series.split(config.validationFraction())));
      }
    }
    return new Scales(config, byId);
  }

  private static Map<String, Scale> ofRows(Series series, int rows) {
    var scales = new LinkedHashMap<String, Scale>();
    series.columns().keySet().stream()
        .sorted()
        .forEach(name -> scales.put(name, Scale.of(series.column(name), 0, rows)));
    return scales;
  }

  /// The scale of a column in a window that reads rows `[from, to)`. A series that was not trained
  /// on is scaled by those rows.
  Scale of(Series series, String column, int from, int to) {
    if (config.classifies() && config.targetColumns().contains(column)) {
      return Scale.NONE;
    }
    return switch (config.scaling()) {
      case NONE -> Scale.NONE;
      case WINDOW -> Scale.of(series.column(column), from, to);
      case SERIES -> {
        Map<String, Scale> known = byId.getOrDefault(series.id(), Map.of());
        Scale scale = known.get(column);
        yield scale == null ? Scale.of(series.column(column), from, to) : scale;
      }
    };
  }

  /// The text of `series.json`.
  public String toJson() {
    ObjectNode tree = StrictBinder.toTree(config);
    ObjectNode file = tree.objectNode();
    file.set("series", tree);
    ObjectNode scales = file.putObject("scales");
    byId.forEach((id, columns) -> {
      ObjectNode of = scales.putObject(id);
      columns.forEach((name, scale) -> of.set(name, StrictBinder.toTree(scale)));
    });
    return StrictBinder.toJson(file);
  }

  /// Reads `series.json` of a model's folder.
  ///
  /// @throws InvalidInputException if it is missing or wrong
  public static Scales read(Path folder) {
    Path file = folder.resolve(FILE_NAME);
    ObjectNode tree;
    try {
      tree = StrictBinder.parse(Files.readString(file), file.toString());
    } catch (IOException e) {
      throw new InvalidInputException(
          folder + ": no " + FILE_NAME + " here; not a model that was trained on series", e);
    }
    if (!(tree.get("series") instanceof ObjectNode config)
        || !(tree.get("scales") instanceof ObjectNode scales)) {
      throw new InvalidInputException(file + ": series and scales must be sections of keys");
    }
    var byId = new LinkedHashMap<String, Map<String, Scale>>();
    for (var series : scales.properties()) {
      var columns = new LinkedHashMap<String, Scale>();
      for (Map.Entry<String, JsonNode> column : series.getValue().properties()) {
        JsonNode mean = column.getValue().path("mean");
        JsonNode deviation = column.getValue().path("deviation");
        if (!mean.isNumber() || !(deviation.asDouble() > 0)) {
          throw new InvalidInputException(
              "%s: scales of %s must have a mean and a deviation above 0"
                  .formatted(file, column.getKey()));
        }
        columns.put(column.getKey(), new Scale(mean.asDouble(), deviation.asDouble()));
      }
      byId.put(series.getKey(), columns);
    }
    return new Scales(StrictBinder.toRecord(config, SeriesConfig.class, file + ": series"), byId);
  }
}
