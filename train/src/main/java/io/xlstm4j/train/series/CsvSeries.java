package io.xlstm4j.train.series;

import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.RuntimeJsonMappingException;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvParser;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Series from a CSV file with a header.
public final class CsvSeries {
  private static final Set<String> MISSING = Set.of("", "na", "nan", "null", "?");

  private final Path file;
  private final SeriesConfig config;
  private final Map<String, List<Row>> byId = new LinkedHashMap<>();
  private final List<String> wanted;

  /// @param values in the order of the wanted columns
  private record Row(String time, double[] values, long line) {}

  private CsvSeries(Path file, SeriesConfig config) {
    this.file = file;
    this.config = config;
    var columns = new LinkedHashSet<>(config.targetColumns());
    columns.addAll(config.featureColumns());
    wanted = List.copyOf(columns);
  }

  /// The series of a file, in the order in which they first appear.
  ///
  /// @param config says which columns
  /// @throws InvalidInputException if the file is missing or broken, a column is not there, or a
  ///   field is no number
  public static List<Series> read(Path file, SeriesConfig config) {
    var reader = new CsvSeries(file, config);
    reader.readRows();
    var series = new ArrayList<Series>();
    reader.byId.forEach((id, rows) -> series.add(reader.inOrder(id, rows)));
    if (series.isEmpty()) {
      throw new InvalidInputException(file + ": no rows under the header");
    }
    return series;
  }

  private void readRows() {
    var mapper = new CsvMapper();
    try (BufferedReader text = Files.newBufferedReader(file);
        MappingIterator<List<String>> lines =
            mapper
                .readerForListOf(String.class)
                .with(CsvParser.Feature.WRAP_AS_ARRAY)
                .with(CsvParser.Feature.SKIP_EMPTY_LINES)
                .with(CsvParser.Feature.TRIM_SPACES)
                .readValues(text)) {
      if (!lines.hasNext()) {
        throw new InvalidInputException(file + ": empty; a header with column names is needed");
      }
      List<String> header = new ArrayList<>(lines.next());
      header.set(0, header.getFirst().replace("\uFEFF", "")); // of some spreadsheets
      int[] places = wanted.stream().mapToInt(name -> place(header, name)).toArray();
      int time = config.timeColumn().isEmpty() ? -1 : place(header, config.timeColumn());
      int id = config.idColumn().isEmpty() ? -1 : place(header, config.idColumn());
      while (lines.hasNext()) {
        long line = lines.getCurrentLocation().getLineNr();
        List<String> fields = lines.next();
        if (fields.size() != header.size()) {
          throw new InvalidInputException(
              "%s: line %d: %d fields, but the header has %d"
                  .formatted(file, line, fields.size(), header.size()));
        }
        double[] values = new double[places.length];
        for (int i = 0; i < values.length; i++) {
          values[i] = number(fields.get(places[i]), wanted.get(i), line);
        }
        byId.computeIfAbsent(id < 0 ? "" : fields.get(id), _ -> new ArrayList<>())
            .add(new Row(time < 0 ? "" : fields.get(time), values, line));
      }
    } catch (NoSuchFileException e) {
      throw new InvalidInputException(file + ": no such file", e);
    } catch (IOException | RuntimeJsonMappingException e) {
      throw new InvalidInputException(file + ": cannot be read as CSV: " + OneLine.of(e), e);
    }
  }

  private int place(List<String> header, String name) {
    int place = header.indexOf(name);
    if (place < 0) {
      throw new InvalidInputException(
          "%s: no column \"%s\"; there are %s".formatted(file, name, OneLine.of(header)));
    }
    return place;
  }

  private double number(@Nullable String field, String column, long line) {
    String text = field == null ? "" : field.strip();
    if (MISSING.contains(text.toLowerCase(java.util.Locale.ROOT))) {
      if (config.missing() == SeriesConfig.Missing.ERROR) {
        throw new InvalidInputException(
            "%s: line %d: column %s has no value; fill it in, or set series.missing: mask"
                .formatted(file, line, column));
      }
      return Double.NaN;
    }
    double value;
    try {
      value = Double.parseDouble(text);
    } catch (NumberFormatException e) {
      value = Double.NaN;
    }
    boolean isClass = config.classifies() && config.targetColumns().contains(column);
    if (!Double.isFinite(value)
        || (isClass && (value != Math.rint(value) || value < 0 || value >= config.classes()))) {
      throw new InvalidInputException(
          "%s: line %d: column %s must be %s, but is %s"
              .formatted(
                  file,
                  line,
                  column,
                  isClass ? "a class in [0, " + config.classes() + ")" : "a number",
                  OneLine.quote(text)));
    }
    return value;
  }

  private Series inOrder(String id, List<Row> rows) {
    if (!config.timeColumn().isEmpty()) {
      rows.sort(byTime(rows));
      for (int i = 1; i < rows.size(); i++) {
        if (rows.get(i).time().equals(rows.get(i - 1).time())) {
          throw new InvalidInputException(
              "%s: lines %d and %d: two rows of one series have the time %s"
                  .formatted(
                      file,
                      rows.get(i - 1).line(),
                      rows.get(i).line(),
                      OneLine.quote(rows.get(i).time())));
        }
      }
    }
    var columns = new HashMap<String, double[]>();
    for (int i = 0; i < wanted.size(); i++) {
      int column = i;
      columns.put(wanted.get(i), rows.stream().mapToDouble(row -> row.values()[column]).toArray());
    }
    return new Series(id, rows.size(), columns);
  }

  /// By number if all are numbers, else as text, which is right for ISO dates.
  private static Comparator<Row> byTime(List<Row> rows) {
    try {
      for (Row row : rows) {
        Double.parseDouble(row.time());
      }
      return Comparator.comparingDouble(row -> Double.parseDouble(row.time()));
    } catch (NumberFormatException e) {
      return Comparator.comparing(Row::time);
    }
  }
}
