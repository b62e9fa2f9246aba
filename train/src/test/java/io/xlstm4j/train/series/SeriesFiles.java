package io.xlstm4j.train.series;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.SeriesConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/// Files of series in a folder of a test, read as a run reads them.
final class SeriesFiles {
  private final Path file;

  SeriesFiles(Path folder) {
    file = folder.resolve("x.csv");
  }

  /// Reads y from a text, by the keys given.
  SeriesTable read(String csv, String... keys) throws IOException {
    return read(csv, StandardCharsets.UTF_8, keys);
  }

  SeriesTable read(String csv, Charset charset, String... keys) throws IOException {
    return read(csv.getBytes(charset), keys);
  }

  SeriesTable read(byte[] csv, String... keys) throws IOException {
    Files.write(file, csv);
    return CsvSeries.read(file, config(keys), null);
  }

  /// Opens a text as the data of a run of windows of 3 and 2 rows.
  SeriesData open(String csv, String... keys) throws IOException {
    Files.writeString(file, csv);
    return SeriesData.open(config(keys));
  }

  /// A file of the test resources.
  static String resource(String name) throws IOException {
    try (InputStream in = SeriesFiles.class.getResourceAsStream("/series-cases/" + name)) {
      return new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  SeriesConfig config(String... keys) {
    ObjectNode tree = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        tree,
        List.of(
            "series.file=" + file,
            "series.target_columns=[y]",
            "series.context=3",
            "series.horizon=2"));
    RunConfigFile.override(tree, List.of(keys));
    return Objects.requireNonNull(RunConfig.DEFAULT.with(tree, "test").series());
  }
}
