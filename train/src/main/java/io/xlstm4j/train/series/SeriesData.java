package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// A file of series, cut in two by time, and its scales.
///
/// @param fingerprint of the file
public record SeriesData(
    Scales scales, SeriesWindows training, SeriesWindows validation, String fingerprint) {
  /// @throws InvalidInputException as [CsvSeries#read] and [SeriesWindows] say
  public static SeriesData open(SeriesConfig config) {
    Path file = Path.of(config.file());
    var all = CsvSeries.read(file, config);
    Scales scales = Scales.learn(config, all);
    return new SeriesData(
        scales,
        new SeriesWindows(scales, all, SeriesWindows.Part.TRAINING),
        new SeriesWindows(scales, all, SeriesWindows.Part.VALIDATION),
        sha256(file));
  }

  private static String sha256(Path file) {
    try {
      byte[] digest = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
      return HexFormat.of().formatHex(digest);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }
}
