package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.files.AtomicFile;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/// `metrics.csv` of a run: one line a step, with validation columns where there was one.
///
/// Lines are appended as they come, so a killed run leaves every finished step.
final class MetricsCsv {
  private static final String HEADER =
      "step,tokens,loss,learning_rate,gradient_norm,tokens_per_second,"
          + "validation_loss,validation_bits_per_byte";

  private final Path file;

  private MetricsCsv(Path file) {
    this.file = file;
  }

  /// One line.
  record Row(int step, OptionalDouble loss, OptionalDouble validationLoss) {}

  /// A new file, or what is left of an old one after dropping all steps past `lastStep`.
  static MetricsCsv open(Path file, int lastStep) {
    var kept = new ArrayList<String>();
    kept.add(HEADER);
    try {
      if (Files.exists(file)) {
        for (String line : Files.readAllLines(file)) {
          if (stepOf(line) <= lastStep) {
            kept.add(line);
          }
        }
      }
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    }
    byte[] text = (String.join("\n", kept) + "\n").getBytes(StandardCharsets.UTF_8);
    AtomicFile.write(file, channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(text)));
    return new MetricsCsv(file);
  }

  void step(Callback.Step step) {
    append(
        String.format(
            Locale.ROOT,
            "%d,%d,%.6f,%.4g,%.4g,%.1f,,",
            step.number(),
            step.tokens(),
            step.loss(),
            step.learningRate(),
            step.gradientNorm(),
            step.tokensPerSecond()));
  }

  void validation(int step, long tokens, Validation result) {
    append(
        String.format(
            Locale.ROOT,
            "%d,%d,,,,,%.6f,%.6f",
            step,
            tokens,
            result.loss(),
            result.measures().getOrDefault("bits_per_byte", Double.NaN)));
  }

  /// Every line, first to last.
  List<Row> rows() {
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> stepOf(line) < Integer.MAX_VALUE)
          .map(line -> {
            String[] cells = line.split(",", -1);
            return new Row(Integer.parseInt(cells[0]), number(cells[2]), number(cells[6]));
          })
          .toList();
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private void append(String line) {
    try {
      Files.writeString(file, line + "\n", StandardOpenOption.APPEND, StandardOpenOption.CREATE);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /// The step of a whole line; a header or a torn last line counts as past every step.
  private static int stepOf(String line) {
    return line.matches("\\d{1,9}(,[^,]*){7}")
        ? Integer.parseInt(line.substring(0, line.indexOf(',')))
        : Integer.MAX_VALUE;
  }

  private static OptionalDouble number(String cell) {
    return cell.isEmpty() ? OptionalDouble.empty() : OptionalDouble.of(Double.parseDouble(cell));
  }
}
