package io.xlstm4j.train.series;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.StrictBinder;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The scaling of a model's data: what a checkpoint keeps beside the weights, in `series.json`.
///
/// @param config of the data
/// @param byId scale by column, by series; empty unless each series has its own. A column without a
///   value in the training part has none
/// @param dateOrder order of day and month in the dates of the file; null if they do not leave it
///   open
public record Scales(
    SeriesConfig config, Map<String, Map<String, Scale>> byId, @Nullable DateOrder dateOrder) {
  public static final String FILE_NAME = "series.json";

  private static final String DATE_ORDER = "date_order";

  /// Contexts before a window in which a scale is looked for if the window itself has none.
  private static final int CONTEXTS_BEFORE = 16;

  /// Learns the scales from the training part.
  static Scales learn(SeriesConfig config, SeriesTable table) {
    var byId = new LinkedHashMap<String, Map<String, Scale>>();
    if (config.scaling() == SeriesConfig.Scaling.SERIES) {
      for (Series series : table.series()) {
        byId.put(series.id(), ofRows(series, series.split(config.validationFraction())));
      }
    }
    return new Scales(config, byId, table.dateOrder());
  }

  private static Map<String, Scale> ofRows(Series series, int rows) {
    var scales = new LinkedHashMap<String, Scale>();
    series.columns().keySet().stream()
        .sorted()
        .forEach(name -> {
          Scale scale = Scale.of(series.column(name), 0, rows);
          if (scale.isKnown()) {
            scales.put(name, scale);
          }
        });
    return scales;
  }

  /// The scale of a column in a window that reads rows `[from, to)`. A series that was not trained
  /// on, or had no value then, is scaled by those rows; so is one that was constant and is no more.
  Scale of(Series series, String column, int from, int to) {
    if (config.classifies() && config.targetColumns().contains(column)) {
      return Scale.NONE;
    }
    double[] values = series.column(column);
    return switch (config.scaling()) {
      case NONE -> Scale.NONE;
      case WINDOW -> ofContext(values, from, to);
      case SERIES -> {
        Scale scale = byId.getOrDefault(series.id(), Map.of()).get(column);
        yield scale == null || (scale.isConstant() && varies(values, from, to, scale.mean()))
            ? ofContext(values, from, to)
            : scale;
      }
    };
  }

  private boolean varies(double[] values, int from, int to, double constant) {
    for (int i = from; i < to && config.horizon() > 0; i++) {
      if (!Double.isNaN(values[i]) && values[i] != constant) {
        return true;
      }
    }
    return false;
  }

  /// By the rows of a window; if they have no value, or one only, also by rows before it.
  private Scale ofContext(double[] values, int from, int to) {
    Scale scale = Scale.of(values, from, to);
    if (scale.isKnown() && !scale.isConstant()) {
      return scale;
    }
    int first = (int) Math.max(0, to - (long) CONTEXTS_BEFORE * config.context());
    Scale longer = Scale.of(values, Math.min(first, from), to);
    return scale.isKnown()
        ? new Scale(scale.mean(), longer.unit())
        : new Scale(longer.mean(), longer.unit());
  }

  /// The same for another file.
  Scales withFile(Path file) {
    return new Scales(config.withFile(file.toString()), byId, dateOrder);
  }

  /// The text of `series.json`.
  public String toJson() {
    ObjectNode tree = StrictBinder.toTree(config);
    ObjectNode file = tree.objectNode();
    file.set("series", tree);
    if (dateOrder != null) {
      file.put(DATE_ORDER, dateOrder.toString());
    }
    ObjectNode scales = file.putObject("scales");
    byId.forEach((id, columns) -> {
      ObjectNode of = scales.putObject(id);
      columns.forEach((name, scale) -> of.set(name, StrictBinder.toTree(scale)));
    });
    return StrictBinder.toJson(file);
  }

  /// Reads `series.json` of a model's folder. Keys that an older version did not write have their
  /// defaults.
  ///
  /// @throws InvalidInputException if it is missing or wrong
  public static Scales read(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new InvalidInputException(
          OneLine.of(folder) + (Files.exists(folder) ? ": not a folder" : ": no such folder"));
    }
    Path file = folder.resolve(FILE_NAME);
    if (!Files.exists(file)) {
      throw new InvalidInputException(
          OneLine.of(folder)
              + ": no "
              + FILE_NAME
              + " here; not a model that was trained on series");
    }
    String source = OneLine.of(file);
    ObjectNode tree;
    try {
      tree = StrictBinder.parse(Files.readString(file), source);
    } catch (IOException e) {
      throw new InvalidInputException(source + ": cannot be read: " + OneLine.reason(e), e);
    }
    if (!(tree.get("series") instanceof ObjectNode config)
        || !(tree.get("scales") instanceof ObjectNode scales)) {
      throw new InvalidInputException(source + ": series and scales must be sections of keys");
    }
    var byId = new LinkedHashMap<String, Map<String, Scale>>();
    for (var series : scales.properties()) {
      var columns = new LinkedHashMap<String, Scale>();
      for (Map.Entry<String, JsonNode> column : series.getValue().properties()) {
        JsonNode mean = column.getValue().path("mean");
        JsonNode deviation = column.getValue().path("deviation");
        if (!mean.isNumber()
            || !deviation.isNumber()
            || !Double.isFinite(mean.asDouble())
            || !Double.isFinite(deviation.asDouble())
            || deviation.asDouble() < 0) {
          throw new InvalidInputException(
              "%s: scales of %s must have a finite mean and a finite deviation, not below 0"
                  .formatted(source, OneLine.of(column.getKey())));
        }
        columns.put(column.getKey(), new Scale(mean.asDouble(), deviation.asDouble()));
      }
      byId.put(series.getKey(), columns);
    }
    return new Scales(SeriesConfig.of(config, source + ": series"), byId, dateOrder(tree, source));
  }

  private static @Nullable DateOrder dateOrder(ObjectNode tree, String source) {
    JsonNode written = tree.get(DATE_ORDER);
    if (written == null) {
      return null;
    }
    for (DateOrder order : DateOrder.values()) {
      if (order.toString().equals(written.asText())) {
        return order;
      }
    }
    throw new InvalidInputException(
        "%s: %s must be one of %s, but is %s"
            .formatted(
                source, DATE_ORDER, Arrays.toString(DateOrder.values()), OneLine.of(written)));
  }
}
