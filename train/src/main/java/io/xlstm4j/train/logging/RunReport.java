package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.files.AtomicFile;
import io.xlstm4j.train.logging.SamplesFile.Sample;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// A run as one HTML page that needs nothing else: no network, no other file. Opened from the disk
/// it shows curves, samples, configuration and numbers, in light and in dark.
///
/// Its size has an end. A curve has at most 1024 points, see [Curve]; of the samples at most 40
/// steps are shown, evenly spread, the first and the last among them, 20 texts a step, each cut
/// after 2,000 characters.
public final class RunReport {
  private static final int SAMPLE_STEPS = 40;
  private static final int SAMPLES_PER_STEP = 20;
  private static final int SAMPLE_LENGTH = 2000;
  private static final int VALUE_LENGTH = 500; // of a configuration key
  private static final Pattern NUMBERED = Pattern.compile("samples/\\d+"); // says nothing to people
  private static final Pattern BOLD = Pattern.compile("\\*\\*(.+?)\\*\\*", Pattern.DOTALL);

  private RunReport() {}

  /// Writes the page of a run.
  ///
  /// @throws InvalidInputException if it cannot be written
  public static void write(RunReading run, Path file) {
    byte[] html = html(run).getBytes(StandardCharsets.UTF_8);
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(html)));
  }

  static String html(RunReading run) {
    var out = new StringBuilder(1 << 16);
    String name = Html.escape(run.name());
    out.append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';");
    out.append(" style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n");
    out.append("<title>").append(name).append("</title>\n<style>\n");
    out.append(resource("report.css")).append("</style>\n</head>\n<body>\n<main>\n");
    head(out, run, name);
    tiles(out, run);
    charts(out, run);
    samples(out, run.samples());
    out.append("<div class=\"pair\">\n<div>");
    numbers(out, run);
    out.append("</div>\n<div>");
    machine(out, run.status());
    out.append("</div>\n</div>\n");
    configuration(out, run.config());
    out.append("<footer>Written ").append(Instant.now().truncatedTo(ChronoUnit.SECONDS));
    out.append(" by xlstm4j. Bands reach from the least to the greatest value of neighbouring");
    out.append(
        " steps; the smoothed line is the mean of medians over about 4 % of the run each.</footer>\n");
    out.append("</main>\n<script>\n").append(resource("report.js"));
    return out.append("</script>\n</body>\n</html>\n").toString();
  }

  private static void head(StringBuilder out, RunReading run, String name) {
    String state = run.state(); // one of our words
    out.append(
        format(
            "<div class=\"head\"><h1>%s</h1><span class=\"state %s\">%s</span></div>\n",
            name, state, state));
    var parts = new ArrayList<String>();
    parts.add(run.config().getOrDefault("model.model_type", ""));
    parts.add(
        run.status() == null
            ? run.config().getOrDefault("data.corpus", "")
            : run.status().corpus());
    if (run.status() != null) {
      parts.add("started " + time(run.status().started()));
      List<String> resumed = run.status().resumed();
      if (!resumed.isEmpty()) {
        parts.add(
            format(
                "resumed %s, last %s",
                resumed.size() == 1 ? "once" : resumed.size() + " times", time(resumed.getLast())));
      }
    }
    parts.removeIf(String::isEmpty);
    out.append("<p class=\"sub\">").append(Html.escape(String.join(" · ", parts))).append("</p>\n");
    if (run.status() != null && run.status().message() != null) {
      out.append("<p class=\"warn\">").append(Html.escape(run.status().message())).append("</p>\n");
    }
  }

  private static String time(String utc) {
    return utc.replace('T', ' ').replace("Z", " UTC");
  }

  private static void tiles(StringBuilder out, RunReading run) {
    Curves curves = run.curves();
    out.append("<div class=\"tiles\">\n");
    tile(
        out,
        NumberFormats.fixed(run.least(MetricNames.VALIDATION_LOSS), 4),
        "validation loss, best");
    tile(
        out,
        NumberFormats.fixed(run.least(MetricNames.VALIDATION_BITS_PER_BYTE), 3),
        "bits per byte");
    long planned = run.plannedSteps();
    tile(
        out,
        NumberFormats.fixed((double) Math.max(0, curves.lastStep()), 0),
        planned < 0 ? "steps" : format("of %,d steps", planned));
    tile(out, NumberFormats.count(curves.last(MetricNames.TRAIN_TOKENS)), "training " + run.unit());
    tile(out, NumberFormats.count(run.tokensPerSecond()), run.unit() + "/s");
    tile(out, NumberFormats.duration(curves.last(MetricNames.TRAIN_SECONDS)), "time");
    tile(out, NumberFormats.count((double) run.parameters()), "parameters");
    out.append("</div>\n");
  }

  private static void tile(StringBuilder out, String value, String name) {
    if (!value.equals("-")) {
      out.append(format("<div class=\"tile\"><b>%s</b><span>%s</span></div>\n", value, name));
    }
  }

  private static void charts(StringBuilder out, RunReading run) {
    Curves curves = run.curves();
    var charts =
        List.of(
            new HtmlChart("Loss", run.lossUnit(), true)
                .line("training", curves.get(MetricNames.TRAIN_LOSS), true)
                .line("validation", curves.get(MetricNames.VALIDATION_LOSS), false),
            new HtmlChart("Learning rate", "", false)
                .line("learning rate", curves.get(MetricNames.TRAIN_LEARNING_RATE), false),
            new HtmlChart("Gradient norm", "before clipping", false)
                .line("gradient norm", curves.get(MetricNames.TRAIN_GRADIENT_NORM), true),
            new HtmlChart("Speed", run.unit() + "/s", false)
                .line(run.unit() + "/s", curves.get(MetricNames.TRAIN_TOKENS_PER_SECOND), true),
            new HtmlChart("Memory", "MiB", false)
                .line("process", curves.get(MetricNames.MEMORY_RESIDENT_MIB), false)
                .line("Java heap", curves.get(MetricNames.MEMORY_HEAP_MIB), false),
            new HtmlChart("Validation accuracy", "", false)
                .line("accuracy", curves.get(MetricNames.VALIDATION_ACCURACY), false));
    if (charts.stream().allMatch(HtmlChart::isEmpty)) {
      out.append("<p class=\"muted\">No steps yet.</p>\n");
      return;
    }
    out.append("<div class=\"charts\">\n");
    charts.forEach(chart -> out.append(chart.html(curves.lastStep())));
    out.append("</div>\n");
  }

  private static void samples(StringBuilder out, List<Sample> samples) {
    if (samples.isEmpty()) {
      return;
    }
    var byStep = new LinkedHashMap<Long, List<Sample>>();
    samples.forEach(
        sample -> byStep.computeIfAbsent(sample.step(), _ -> new ArrayList<>()).add(sample));
    List<Map.Entry<Long, List<Sample>>> steps = List.copyOf(byStep.entrySet());
    out.append("<h2>Samples</h2>\n<div class=\"card\">\n");
    for (int at : spread(steps.size()).descendingSet()) {
      boolean last = at == steps.size() - 1;
      out.append(
          format(
              "<details%s><summary>Step %,d</summary>\n",
              last ? " open" : "", steps.get(at).getKey()));
      for (Sample sample : steps.get(at).getValue().stream().limit(SAMPLES_PER_STEP).toList()) {
        out.append("<div class=\"sample\">");
        if (!sample.name().isEmpty() && !NUMBERED.matcher(sample.name()).matches()) {
          out.append("<span>").append(Html.escape(sample.name())).append("</span>");
        }
        out.append("<p>").append(text(sample.markdown())).append("</p></div>\n");
      }
      out.append("</details>\n");
    }
    out.append("</div>\n");
    if (steps.size() > SAMPLE_STEPS) {
      out.append(
          format(
              "<p class=\"muted\">%d of %,d steps; samples.md has all.</p>\n",
              SAMPLE_STEPS, steps.size()));
    }
  }

  /// At most 40 places of `size`, the first and the last among them.
  private static NavigableSet<Integer> spread(int size) {
    var places = new TreeSet<Integer>();
    int shown = Math.min(size, SAMPLE_STEPS);
    for (int i = 0; i < shown; i++) {
      places.add(shown == 1 ? 0 : (int) Math.round((double) i * (size - 1) / (shown - 1)));
    }
    return places;
  }

  /// The text as it is; of Markdown only quotation marks are left out and prompts made bold.
  private static String text(String markdown) {
    String plain = markdown.replaceAll("(?m)^> ?", "");
    return BOLD.matcher(Html.escape(cut(plain, SAMPLE_LENGTH))).replaceAll("<b>$1</b>");
  }

  private static String cut(String text, int length) {
    return text.length() <= length
        ? text
        : text.substring(0, text.offsetByCodePoints(0, text.codePointCount(0, length))) + "…";
  }

  private static void numbers(StringBuilder out, RunReading run) {
    var rows = new StringBuilder();
    var byName = new TreeMap<String, Curve>();
    run.curves().forEach(byName::put);
    byName.forEach((name, curve) -> {
      if (curve.count() > 0) {
        rows.append(
            format(
                "<tr><th>%s</th><td class=\"number\">%s</td><td class=\"number\">%s</td></tr>\n",
                Html.escape(name),
                NumberFormats.digits(curve.last()),
                NumberFormats.digits(curve.least())));
      }
    });
    if (!rows.isEmpty()) {
      out.append("<h2>Final numbers</h2>\n<div class=\"card\"><table><thead><tr><th>metric</th>");
      out.append(
          "<th class=\"number\">last</th><th class=\"number\">min</th></tr></thead>\n<tbody>\n");
      out.append(rows).append("</tbody></table></div>\n");
    }
  }

  private static void machine(StringBuilder out, @Nullable RunStatus status) {
    out.append("<h2>Machine</h2>\n<div class=\"card\">");
    if (status == null) {
      out.append("<p class=\"muted\">Not recorded: there is no status.json.</p></div>\n");
      return;
    }
    SystemInfo machine = status.machine();
    var rows = new LinkedHashMap<String, String>();
    rows.put("host", machine.host());
    rows.put("system", machine.system());
    rows.put("processor", machine.processor());
    rows.put("processors", Integer.toString(machine.processors()));
    rows.put("memory", format("%,d MiB", machine.memoryMib()));
    rows.put("device", machine.device());
    rows.put("Java", machine.java());
    rows.put("Java heap limit", format("%,d MiB", machine.maxHeapMib()));
    out.append("<table>\n");
    rows.forEach((name, value) -> {
      if (!value.isBlank()) {
        out.append(format("<tr><th>%s</th><td>%s</td></tr>\n", name, Html.escape(value)));
      }
    });
    out.append("</table></div>\n");
  }

  private static void configuration(StringBuilder out, Map<String, String> config) {
    out.append("<h2>Configuration</h2>\n<div class=\"card config\">\n");
    String open = "\n"; // no section
    for (Map.Entry<String, String> entry : config.entrySet()) {
      String key = entry.getKey();
      int dot = key.lastIndexOf('.');
      String section = dot < 0 ? "" : key.substring(0, dot);
      if (!section.equals(open)) {
        out.append(open.equals("\n") ? "" : "</dl></section>\n").append("<section>");
        out.append("<h3>")
            .append(Html.escape(section.isEmpty() ? "run" : section))
            .append("</h3><dl>\n");
        open = section;
      }
      out.append("<dt>").append(Html.escape(key.substring(dot + 1))).append("</dt><dd>");
      out.append(Html.escape(cut(entry.getValue(), VALUE_LENGTH))).append("</dd>\n");
    }
    out.append(open.equals("\n") ? "" : "</dl></section>\n").append("</div>\n");
  }

  private static String resource(String name) {
    try (@Nullable InputStream in = RunReport.class.getResourceAsStream(name)) {
      if (in == null) {
        throw new IllegalStateException(name + " is missing from the jar");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(name + " cannot be read from the jar", e);
    }
  }

  private static String format(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
