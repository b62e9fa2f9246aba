package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Series from a CSV file with a header.
public final class CsvSeries {
  private final Path file;
  private final SeriesConfig config;
  private final List<String> wanted; // columns of values
  private final DecimalNumbers numbers;
  private final @Nullable TimeColumn times;
  private final Map<String, List<Row>> byId = new LinkedHashMap<>();
  private int count;

  /// @param number of the row in the file, from 0; -1 for one that was put into a gap
  /// @param values in the order of the wanted columns
  private record Row(int number, long line, double[] values) {}

  private record Timed(Row row, Moment moment) {}

  private CsvSeries(Path file, SeriesConfig config) {
    this.file = file;
    this.config = config;
    var columns = new LinkedHashSet<>(config.targetColumns());
    columns.addAll(config.featureColumns());
    wanted = List.copyOf(columns);
    numbers = new DecimalNumbers(file, config);
    times = config.timeColumn().isEmpty() ? null : new TimeColumn(file, config);
  }

  /// Reads a file.
  ///
  /// @param config says which columns
  /// @param known order of day and month that a model was trained with, for dates that leave it
  ///   open; null if there is none
  /// @throws InvalidInputException if the file is missing or broken, a column is not there, or a
  ///   field is no number or no time
  public static SeriesTable read(Path file, SeriesConfig config, @Nullable DateOrder known) {
    return new CsvSeries(file, config).read(known);
  }

  private SeriesTable read(@Nullable DateOrder known) {
    var names = new LinkedHashSet<>(wanted);
    if (!config.timeColumn().isEmpty()) {
      names.add(config.timeColumn());
    }
    if (!config.idColumn().isEmpty()) {
      names.add(config.idColumn());
    }
    List<String> all = List.copyOf(names);
    int time = all.indexOf(config.timeColumn());
    int id = all.indexOf(config.idColumn());
    var notes =
        new ArrayList<>(CsvTable.read(file, all, (line, fields) -> row(line, fields, time, id)));
    if (times == null) {
      return new SeriesTable(
          byId.entrySet().stream()
              .map(entry -> series(entry.getKey(), entry.getValue(), null))
              .toList(),
          notes,
          null);
    }
    times.decide(known);
    var axes = new LinkedHashMap<String, TimeAxis>();
    for (Map.Entry<String, List<Row>> entry : byId.entrySet()) {
      axes.put(entry.getKey(), inOrder(entry.getKey(), entry.getValue(), times));
    }
    var gaps = new SeriesGaps(file, config, axes);
    notes.addAll(gaps.notes());
    var series = new ArrayList<Series>();
    byId.forEach((of, rows) -> series.add(withGaps(of, rows, gaps.axis(of))));
    return new SeriesTable(series, notes, times.order());
  }

  private void row(long line, String[] fields, int time, int id) {
    double[] values = new double[wanted.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = numbers.read(fields[i], wanted.get(i), line);
    }
    if (times != null) {
      times.add(fields[time], line);
    }
    if (id >= 0 && fields[id].isEmpty()) {
      throw new InvalidInputException(
          "%s: line %d: column %s is empty; it must name the series of the row"
              .formatted(OneLine.of(file), line, OneLine.of(config.idColumn())));
    }
    byId.computeIfAbsent(id < 0 ? "" : fields[id], _ -> new ArrayList<>())
        .add(new Row(count++, line, values));
  }

  private Series series(String id, List<Row> rows, @Nullable TimeAxis axis) {
    var columns = new HashMap<String, double[]>();
    for (int i = 0; i < wanted.size(); i++) {
      int column = i;
      columns.put(wanted.get(i), rows.stream().mapToDouble(row -> row.values()[column]).toArray());
    }
    long[] lines = rows.stream().mapToLong(Row::line).toArray();
    return new Series(id, rows.size(), columns, lines, axis);
  }

  /// Sorts the rows of a series by time.
  private TimeAxis inOrder(String id, List<Row> rows, TimeColumn column) {
    List<Moment> moments = column.moments(rows.stream().mapToInt(Row::number).toArray());
    var timed = new ArrayList<Timed>();
    for (int i = 0; i < rows.size(); i++) {
      timed.add(new Timed(rows.get(i), moments.get(i)));
    }
    timed.sort((a, b) -> a.moment().position().compareTo(b.moment().position()));
    for (int i = 1; i < timed.size(); i++) {
      WrittenTime one = timed.get(i - 1).moment().written();
      WrittenTime other = timed.get(i).moment().written();
      if (timed.get(i).moment().position().compareTo(timed.get(i - 1).moment().position()) == 0) {
        throw new InvalidInputException(
            "%s: lines %d and %d: two rows of one series%s have the time %s%s%s"
                .formatted(
                    OneLine.of(file),
                    one.line(),
                    other.line(),
                    id.isEmpty() ? "" : " (" + OneLine.of(id) + ")",
                    OneLine.quote(one.text()),
                    one.text().equals(other.text())
                        ? ""
                        : ", which is also written " + OneLine.quote(other.text()),
                    config.idColumn().isEmpty()
                        ? column.doubtAboutClock()
                            + "; if they are of several series, set series.id_column"
                        : column.doubtAboutClock()));
      }
    }
    for (int i = 0; i < rows.size(); i++) {
      rows.set(i, timed.get(i).row());
    }
    return new TimeAxis(column, timed.stream().map(Timed::moment).toList());
  }

  /// The series, with rows of missing values in its gaps if they are wanted.
  private Series withGaps(String id, List<Row> rows, TimeAxis axis) {
    if (config.gaps() != SeriesConfig.Gaps.MASK) {
      return series(id, rows, axis);
    }
    double[] none = new double[wanted.size()];
    Arrays.fill(none, Double.NaN);
    var filled = new ArrayList<Row>();
    for (int row = 0; row < rows.size(); row++) {
      filled.add(rows.get(row));
      for (int gap = axis.missingAfter(row); gap > 0; gap--) {
        filled.add(new Row(-1, 0, none));
      }
    }
    return series(id, filled, axis);
  }
}
