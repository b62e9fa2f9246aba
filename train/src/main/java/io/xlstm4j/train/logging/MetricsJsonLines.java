package io.xlstm4j.train.logging;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `metrics.jsonl`: one JSON object a line, in the order things happened.
///
/// ```
/// {"step":20,"train/loss":8.25,"train/tokens":5120}
/// {"step":20,"text":"samples/0","markdown":"**blue** is"}
/// {"step":20,"histogram":"weights/head","count":3,"min":-1.0, ... "limits":[...],"counts":[...]}
/// ```
///
/// Numbers read back to the same double. JSON has no NaN and no infinities: they are the strings
/// `"NaN"`, `"Infinity"` and `"-Infinity"`.
public final class MetricsJsonLines implements MetricsLogger {
  private static final JsonFactory JSON = new JsonFactory();
  private static final Pattern LINE = Pattern.compile("\\{\"step\":(\\d{1,18})[,}].*");

  private final AppendOnlyFile file;
  private final ByteArrayOutputStream line = new ByteArrayOutputStream(512);

  private MetricsJsonLines(AppendOnlyFile file) {
    this.file = file;
  }

  /// A new file, or what is left of an old one after dropping all steps past `lastStep` and a torn
  /// last line.
  ///
  /// @throws InvalidInputException if it cannot be read or written, or is no such file
  public static MetricsJsonLines open(Path path, long lastStep) {
    StepLines.dropAfter(path, lastStep, (line, number) -> stepOf(path, line, number));
    return new MetricsJsonLines(AppendOnlyFile.open(path));
  }

  private static long stepOf(Path path, String line, int number) {
    Matcher match = LINE.matcher(line);
    if (!match.matches() || !line.endsWith("}")) {
      throw new InvalidInputException(
          "%s: line %d: must be an object that begins with {\"step\":, but is %s; mend or move the file"
              .formatted(OneLine.of(path), number, OneLine.quote(line)));
    }
    return Long.parseLong(match.group(1));
  }

  @Override
  public void scalars(long step, Map<String, Double> values) {
    values.keySet().forEach(MetricNames::check);
    write(
        step,
        json -> {
          for (Map.Entry<String, Double> entry : values.entrySet()) {
            json.writeFieldName(entry.getKey());
            number(json, entry.getValue());
          }
        });
  }

  @Override
  public void text(long step, String name, String markdown) {
    write(
        step,
        json -> {
          json.writeStringField("text", name);
          json.writeStringField("markdown", markdown);
        });
  }

  @Override
  public void histogram(long step, String name, Histogram values) {
    write(
        step,
        json -> {
          json.writeStringField("histogram", name);
          json.writeNumberField("count", values.count());
          json.writeNumberField("non_finite", values.nonFinite());
          json.writeNumberField("min", values.min());
          json.writeNumberField("max", values.max());
          json.writeFieldName("sum");
          number(json, values.sum());
          json.writeFieldName("sum_of_squares");
          number(json, values.sumOfSquares());
          json.writeFieldName("limits");
          double[] limits = values.limits();
          json.writeArray(limits, 0, limits.length);
          json.writeFieldName("counts");
          long[] counts = values.counts();
          json.writeArray(counts, 0, counts.length);
        });
  }

  /// The fields of a line.
  @FunctionalInterface
  private interface Body {
    void write(JsonGenerator json) throws IOException;
  }

  private void write(long step, Body body) {
    line.reset();
    try (JsonGenerator json = JSON.createGenerator(line)) {
      json.writeStartObject();
      json.writeNumberField("step", step);
      body.write(json);
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("memory always takes bytes", e);
    }
    line.write('\n');
    file.append(line.toByteArray());
  }

  private static void number(JsonGenerator json, double value) throws IOException {
    if (!Double.isFinite(value)) {
      json.writeString(Double.toString(value));
    } else if (value == Math.rint(value) && Math.abs(value) < 1L << 53) {
      json.writeNumber((long) value); // -0 becomes 0
    } else {
      json.writeNumber(value);
    }
  }

  @Override
  public void close() {
    file.close();
  }
}
