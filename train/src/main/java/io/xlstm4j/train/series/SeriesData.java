package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Collectors;

/// A file of series, cut in two by time, and its scales.
///
/// @param fingerprint of the file
/// @param notes what a person should know about the file, a line each
public record SeriesData(
    Scales scales,
    SeriesWindows training,
    SeriesWindows validation,
    String fingerprint,
    List<String> notes) {
  /// Names of series in a note; more are counted.
  private static final int NAMED = 10;

  /// Reads the file of a configuration.
  ///
  /// @throws InvalidInputException as [CsvSeries#read] and [SeriesWindows] say, or if a scaled
  ///   value is too large for float32
  public static SeriesData open(SeriesConfig config) {
    Path file = Path.of(config.file());
    SeriesTable table = CsvSeries.read(file, config, null);
    Scales scales = Scales.learn(config, table);
    var training = new SeriesWindows(scales, table.series(), SeriesWindows.Part.TRAINING);
    var validation = new SeriesWindows(scales, table.series(), SeriesWindows.Part.VALIDATION);
    if (!isModest(table.series())) {
      training.check();
      validation.check();
    }
    var notes = new ArrayList<>(table.notes());
    notes.addAll(shortSeries(config, table.series()));
    notes.addAll(Outliers.warnings(config, table.series()));
    return new SeriesData(scales, training, validation, sha256(file), notes);
  }

  /// Returns whether no scaled value can be too large for float32: a deviation is at least 1e-15 of
  /// the values it comes from.
  private static boolean isModest(List<Series> all) {
    double largest = 0;
    double smallest = Double.POSITIVE_INFINITY;
    for (Series series : all) {
      for (double[] values : series.columns().values()) {
        for (double value : values) {
          if (!Double.isNaN(value) && value != 0) {
            largest = Math.max(largest, Math.abs(value));
            smallest = Math.min(smallest, Math.abs(value));
          }
        }
      }
    }
    return largest < 1e36 && largest < 1e20 * smallest;
  }

  private static List<String> shortSeries(SeriesConfig config, List<Series> all) {
    int span = config.context() + config.horizon();
    var whole = new ArrayList<String>();
    var part = new ArrayList<String>();
    for (Series series : all) {
      if (series.rows() < span) {
        whole.add(series.id());
      } else if (series.split(config.validationFraction()) < span) {
        part.add(series.id());
      }
    }
    var notes = new ArrayList<String>();
    if (!whole.isEmpty()) {
      notes.add(
          "%d of %d series are shorter than context + horizon (%d) and are not trained on: %s"
              .formatted(whole.size(), all.size(), span, names(whole)));
    }
    if (!part.isEmpty()) {
      notes.add(
          "%d of %d series are shorter than context + horizon (%d) without their validation part (validation_fraction %s) and are not trained on: %s"
              .formatted(part.size(), all.size(), span, config.validationFraction(), names(part)));
    }
    return notes;
  }

  private static String names(List<String> ids) {
    String names = ids.stream().limit(NAMED).map(OneLine::of).collect(Collectors.joining(", "));
    return ids.size() <= NAMED ? names : names + " and " + (ids.size() - NAMED) + " more";
  }

  private static String sha256(Path file) {
    try (InputStream in = Files.newInputStream(file)) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      byte[] buffer = new byte[1 << 16];
      for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
        digest.update(buffer, 0, read);
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
