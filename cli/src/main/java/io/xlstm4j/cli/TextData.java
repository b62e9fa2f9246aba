package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;

/// Corpora that are named on the command line.
final class TextData {
  private static final int SHOWN_HEADER = 120; // chars

  private TextData() {}

  /// Opens a corpus of text.
  ///
  /// @param cure what to do with a table of series, a sentence; `%s` in it stands for the path
  /// @throws InvalidInputException if `data` is a table of series
  static Corpus open(String data, String cure) {
    refuseTable(data, cure);
    return Corpora.open(data);
  }

  /// @param cure what to do with a table of series, a sentence; `%s` in it stands for the path
  /// @throws InvalidInputException if `data` is a file that ends in `.csv` or `.tsv`
  static void refuseTable(String data, String cure) {
    String name = data.toLowerCase(Locale.ROOT);
    if (!name.endsWith(".csv") && !name.endsWith(".tsv")) {
      return;
    }
    try {
      Path file = Path.of(data);
      if (Files.isRegularFile(file)) {
        throw new InvalidInputException(
            "--data %s is a table%s, not text; %s"
                .formatted(
                    OneLine.of(data),
                    columns(file),
                    cure.replace("%s", Program.quoted(OneLine.of(data)))));
      }
    } catch (InvalidPathException e) {
      return; // opening it says so
    }
  }

  private static String columns(Path file) {
    try (BufferedReader lines = Files.newBufferedReader(file)) {
      var header = new char[SHOWN_HEADER];
      int count = lines.read(header);
      String first = new String(header, 0, Math.max(0, count)).lines().findFirst().orElse("");
      return first.isBlank() ? "" : " with the columns " + OneLine.of(first.strip());
    } catch (MalformedInputException e) {
      return "";
    } catch (IOException e) {
      return ""; // opening it says why
    }
  }
}
