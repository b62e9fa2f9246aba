package io.xlstm4j.train.logging;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.OneLine;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;

/// Runs side by side, the best validation first: by bits per byte, which does not depend on the
/// tokenizer, then those that have only a loss, then those that have neither.
public final class RunTable {
  private static final List<String> HEAD =
      List.of(
          "run", "state", "steps", "tokens", "val loss", "bits/byte", "tokens/s", "time", "params");
  private static final int WIDE = 120; // from here on the differences are a column
  private static final int LONGEST_NAME = 32;

  private final List<RunReading> runs;
  private final SequencedMap<String, String> differing; // key, and how it is shown

  public RunTable(List<RunReading> runs) {
    this.runs =
        runs.stream()
            .sorted(
                Comparator.comparingDouble((RunReading run) -> bits(run))
                    .thenComparingDouble(
                        run -> run.least(MetricNames.VALIDATION_LOSS)) // NaN is last
                    .thenComparing(RunReading::name))
            .toList();
    this.differing = differing(runs);
  }

  private static double bits(RunReading run) {
    return run.least(MetricNames.VALIDATION_BITS_PER_BYTE);
  }

  /// Keys that have not the same value in all runs, under their last word where that is enough.
  private static SequencedMap<String, String> differing(List<RunReading> runs) {
    var keys = new LinkedHashSet<String>();
    runs.forEach(run -> keys.addAll(run.config().keySet()));
    keys.removeIf(key -> {
      var values = new HashSet<String>();
      runs.forEach(run -> values.add(run.config().getOrDefault(key, "")));
      return values.size() < 2;
    });
    var words = new HashMap<String, Integer>();
    keys.forEach(key -> words.merge(lastWord(key), 1, Integer::sum));
    var shown = new LinkedHashMap<String, String>();
    for (String key : keys) {
      shown.put(key, words.getOrDefault(lastWord(key), 0) == 1 ? lastWord(key) : key);
    }
    return shown;
  }

  private static String lastWord(String key) {
    return key.substring(key.lastIndexOf('.') + 1);
  }

  /// The width of a table that is not cut.
  public static final int UNCUT = Integer.MAX_VALUE;

  /// The table as lines of at most `width` characters, [#UNCUT] for any number; nothing if there
  /// are no runs. From 120 on the differences are the last column, else they stand below their run.
  public List<String> lines(int width) {
    if (runs.isEmpty()) {
      return List.of();
    }
    var rows = new ArrayList<List<String>>();
    rows.add(HEAD);
    runs.forEach(run -> rows.add(cells(run)));
    var widths = new int[HEAD.size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    String gap = width >= WIDE ? "  " : " ";
    int rest = 0;
    for (int i = 1; i < widths.length; i++) {
      rest += gap.length() + widths[i];
    }
    if (width != UNCUT) {
      widths[0] = Math.min(widths[0], Math.clamp(width - rest, 6, LONGEST_NAME));
    }
    boolean wide = width >= WIDE && !differing.isEmpty();
    var lines = new ArrayList<String>();
    for (int i = 0; i < rows.size(); i++) {
      String row = row(rows.get(i), widths, gap);
      String differences = i == 0 ? "differs in" : differences(runs.get(i - 1));
      lines.add(cut(wide ? row + "  " + differences : row, width));
      if (!wide && i > 0 && !differences.isEmpty()) {
        lines.add(cut("  " + differences, width));
      }
    }
    return lines;
  }

  private static List<String> cells(RunReading run) {
    Curves curves = run.curves();
    long planned = run.plannedSteps();
    String done = Long.toString(Math.max(0, curves.lastStep()));
    boolean whole = planned < 0 || curves.lastStep() == planned;
    return List.of(
        OneLine.of(run.name()),
        run.state(),
        whole ? done : done + "/" + planned,
        NumberFormats.count(curves.last(MetricNames.TRAIN_TOKENS)),
        NumberFormats.fixed(run.least(MetricNames.VALIDATION_LOSS), 4),
        NumberFormats.fixed(bits(run), 3),
        NumberFormats.count(run.tokensPerSecond()),
        NumberFormats.duration(curves.last(MetricNames.TRAIN_SECONDS)),
        NumberFormats.count((double) run.parameters()));
  }

  /// Words to the left, numbers to the right.
  private static String row(List<String> cells, int[] widths, String gap) {
    var line = new StringBuilder();
    for (int i = 0; i < widths.length; i++) {
      String cell = cut(cells.get(i), widths[i]);
      line.append(i == 0 ? "" : gap);
      line.append(
          String.format(Locale.ROOT, i < 2 ? "%-" + widths[i] + "s" : "%" + widths[i] + "s", cell));
    }
    return line.toString();
  }

  private String differences(RunReading run) {
    var text = new StringBuilder();
    differing.forEach((key, shown) -> {
      String value = run.config().get(key);
      text.append(text.isEmpty() ? "" : " ").append(shown).append('=');
      text.append(value == null ? "-" : OneLine.of(value));
    });
    return text.toString();
  }

  private static String cut(String line, int width) {
    return line.codePointCount(0, line.length()) <= width
        ? line.stripTrailing()
        : line.substring(0, line.offsetByCodePoints(0, Math.max(0, width - 1))) + "…";
  }

  /// One JSON object for each run; what is not known is null.
  public List<String> jsonLines() {
    return runs.stream().map(run -> json(run).toString()).toList();
  }

  private ObjectNode json(RunReading run) {
    Curves curves = run.curves();
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("name", run.name());
    json.put("folder", run.folder().toString());
    json.put("state", run.state());
    whole(json, "steps", (double) Math.max(0, curves.lastStep()));
    whole(json, "planned_steps", (double) run.plannedSteps());
    whole(json, "tokens", curves.last(MetricNames.TRAIN_TOKENS));
    number(json, "best_validation_loss", run.least(MetricNames.VALIDATION_LOSS));
    Curve validation = curves.get(MetricNames.VALIDATION_LOSS);
    whole(json, "best_step", validation == null ? -1 : (double) validation.leastStep());
    number(json, "best_bits_per_byte", bits(run));
    number(json, "tokens_per_second", run.tokensPerSecond());
    number(json, "seconds", curves.last(MetricNames.TRAIN_SECONDS));
    whole(json, "parameters", (double) run.parameters());
    ObjectNode differences = json.putObject("differences");
    for (Map.Entry<String, String> entry : differing.entrySet()) {
      differences.put(entry.getKey(), run.config().get(entry.getKey()));
    }
    return json;
  }

  private static void number(ObjectNode json, String key, double value) {
    if (Double.isFinite(value)) {
      json.put(key, value);
    } else {
      json.putNull(key);
    }
  }

  private static void whole(ObjectNode json, String key, double value) {
    if (value >= 0 && Double.isFinite(value)) {
      json.put(key, (long) value);
    } else {
      json.putNull(key);
    }
  }
}
