package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// `metrics.csv`: one line a step, one column a name.
///
/// The header is `step`, then [MetricNames#STANDARD] in its order, then other names in the order
/// they came. A name that is new gets a column behind the last: the file is written anew, once,
/// with empty cells in the older lines, so every line always has as many cells as the header.
/// Values that come later for the same step go into its line. Whole numbers are exact, others have
/// the precision of a float32; NaN, Infinity and -Infinity are written so.
public final class MetricsCsv implements MetricsLogger {
  /// Former names of the columns.
  private static final Map<String, String> FORMER =
      Map.of(
          "tokens", MetricNames.TRAIN_TOKENS,
          "loss", MetricNames.TRAIN_LOSS,
          "learning_rate", MetricNames.TRAIN_LEARNING_RATE,
          "gradient_norm", MetricNames.TRAIN_GRADIENT_NORM,
          "tokens_per_second", MetricNames.TRAIN_TOKENS_PER_SECOND,
          "validation_loss", MetricNames.VALIDATION_LOSS,
          "validation_bits_per_byte", MetricNames.VALIDATION_BITS_PER_BYTE);

  private static final double EXACT = 1L << 53; // whole doubles below have no gaps

  private final StringBuilder text = new StringBuilder();
  private final Map<String, Integer> columns = new LinkedHashMap<>();
  private AppendOnlyFile file;
  private long lastStep;
  private @Nullable String[] cells; // of the last line, without its step

  private MetricsCsv(
      AppendOnlyFile file, List<String> names, long lastStep, @Nullable String[] cells) {
    this.file = file;
    this.lastStep = lastStep;
    this.cells = cells;
    names.forEach(name -> columns.put(name, columns.size()));
  }

  /// A new file, or what is left of an old one after dropping all steps past `lastStep` and a torn
  /// last line.
  ///
  /// @throws InvalidInputException if it cannot be read or written, or is no such file
  public static MetricsCsv open(Path path, long lastStep) {
    StepLines.dropAfter(path, lastStep, (line, number) -> stepOf(path, line, number));
    var header = new ArrayList<String>();
    var last = new String[] {""};
    if (Files.exists(path)) {
      StepLines.visit(
          path,
          (line, number) -> {
            if (number == 1) {
              header.addAll(Arrays.asList(line.split(",", -1)));
            } else {
              last[0] = line;
            }
            int found = line.split(",", -1).length;
            if (found != header.size()) {
              throw malformed(path, number, "%d cells, not %d".formatted(found, header.size()));
            }
          });
    }
    AppendOnlyFile file = AppendOnlyFile.open(path);
    if (header.isEmpty()) {
      var sink = new MetricsCsv(file, MetricNames.STANDARD, -1, new String[0]);
      file.append(sink.header().getBytes(StandardCharsets.UTF_8));
      return sink;
    }
    List<String> names = header.subList(1, header.size());
    if (last[0].isEmpty()) {
      return new MetricsCsv(file, names, -1, new String[0]);
    }
    file.lastRecordHas(last[0].length() + 1L); // ASCII
    String[] cells = last[0].split(",", -1);
    return new MetricsCsv(
        file, names, Long.parseLong(cells[0]), Arrays.copyOfRange(cells, 1, cells.length));
  }

  /// Gives the lines of a file to `into`, first to last; a torn last line is passed over.
  ///
  /// @throws InvalidInputException if it cannot be read, or is no such file
  public static void replay(Path path, MetricsLogger into) {
    var names = new ArrayList<String>();
    var values = new LinkedHashMap<String, Double>();
    StepLines.visit(
        path,
        (line, number) -> {
          long step = stepOf(path, line, number);
          String[] cells = line.split(",", -1);
          if (number == 1) {
            for (String name : cells) {
              names.add(FORMER.getOrDefault(name, name));
            }
            return;
          }
          if (cells.length != names.size()) {
            throw malformed(path, number, "%d cells, not %d".formatted(cells.length, names.size()));
          }
          values.clear();
          for (int i = 1; i < cells.length; i++) {
            if (!cells[i].isEmpty()) {
              values.put(names.get(i), number(path, number, cells[i]));
            }
          }
          into.scalars(step, values);
        });
  }

  private static double number(Path path, int line, String cell) {
    try {
      return Double.parseDouble(cell);
    } catch (NumberFormatException e) {
      throw malformed(path, line, OneLine.quote(cell) + " is not a number");
    }
  }

  private static long stepOf(Path path, String line, int number) {
    if (number == 1) {
      if (!line.equals("step") && !line.startsWith("step,")) {
        throw malformed(path, 1, "the header must begin with step, not " + OneLine.quote(line));
      }
      return StepLines.ALWAYS;
    }
    int comma = line.indexOf(',');
    String step = comma < 0 ? line : line.substring(0, comma);
    if (!step.matches("\\d{1,18}")) {
      throw malformed(path, number, "must begin with a step, not " + OneLine.quote(step));
    }
    return Long.parseLong(step);
  }

  private static InvalidInputException malformed(Path path, int line, String what) {
    return new InvalidInputException(
        "%s: line %d: not a line of metrics: %s; mend or move the file"
            .formatted(OneLine.of(path), line, what));
  }

  @Override
  public void scalars(long step, Map<String, Double> values) {
    if (step < lastStep || step < 0) {
      throw new IllegalArgumentException(
          "step (%d) must not be before the last (%d)".formatted(step, lastStep));
    }
    addColumns(values);
    boolean same = step == lastStep;
    if (!same) {
      cells = new String[columns.size()];
    }
    values.forEach((name, value) -> cells[columns.getOrDefault(name, 0)] = cell(value));
    text.setLength(0);
    text.append(step);
    for (String cell : cells) {
      text.append(',').append(cell == null ? "" : cell);
    }
    byte[] line = text.append('\n').toString().getBytes(StandardCharsets.ISO_8859_1); // ASCII
    if (same) {
      file.replaceLast(line);
    } else {
      file.append(line);
    }
    lastStep = step;
  }

  private void addColumns(Map<String, Double> values) {
    int before = columns.size();
    for (String name : values.keySet()) {
      if (!columns.containsKey(name)) {
        MetricNames.check(name);
        columns.put(name, columns.size());
      }
    }
    int more = columns.size() - before;
    if (more == 0) {
      return;
    }
    Path path = file.path();
    file.close();
    String header = header();
    String pad = ",".repeat(more);
    StepLines.rewrite(
        path,
        (line, number, out) ->
            out.write((number == 1 ? header : line + pad + "\n").getBytes(StandardCharsets.UTF_8)));
    file = AppendOnlyFile.open(path);
    cells = Arrays.copyOf(cells, lastStep < 0 ? 0 : columns.size());
    if (lastStep >= 0) {
      long length = Long.toString(lastStep).length() + columns.size() + 1L;
      for (String cell : cells) {
        length += cell == null ? 0 : cell.length();
      }
      file.lastRecordHas(length);
    }
  }

  private String header() {
    return "step," + String.join(",", columns.keySet()) + "\n";
  }

  private static String cell(double value) {
    if (value == Math.rint(value) && Math.abs(value) < EXACT) {
      return Long.toString((long) value);
    }
    float narrow = (float) value;
    boolean fits = Float.isFinite(narrow) && Math.abs(narrow) >= Float.MIN_NORMAL;
    return fits ? Float.toString(narrow) : Double.toString(value);
  }

  @Override
  public void close() {
    file.close();
  }
}
