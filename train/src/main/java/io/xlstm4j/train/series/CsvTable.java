package io.xlstm4j.train.series;

import de.siegmar.fastcsv.reader.CommentStrategy;
import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import de.siegmar.fastcsv.reader.CsvReader.CsvReaderBuilder;
import de.siegmar.fastcsv.reader.CsvRecord;
import de.siegmar.fastcsv.reader.FieldMismatchStrategy;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/// Selected columns of a CSV file with a header, row after row.
///
/// The separator is the one of `,` `;` tab and `|` with which the header has the wanted columns. A
/// first line `sep=;`, lines that begin with `#`, and empty rows at the end are no rows.
final class CsvTable {
  private static final char[] SEPARATORS = {',', ';', '\t', '|'};
  private static final int HEAD = 1 << 16; // characters in which the header is looked for

  private final Path file;
  private final List<String> wanted;
  private final Sink sink;
  private final List<String> notes = new ArrayList<>();
  private char separator = ',';
  private int preamble; // lines before the header
  private boolean markedHeader; // one that begins with #
  private List<String> header = List.of();
  private int[] places = {};
  private long rows;

  /// Receives rows.
  @FunctionalInterface
  interface Sink {
    /// @param line of the file, from 1
    /// @param fields of the wanted columns, without blanks around them
    void row(long line, String[] fields);
  }

  private CsvTable(Path file, List<String> wanted, Sink sink) {
    this.file = file;
    this.wanted = wanted;
    this.sink = sink;
  }

  /// Reads a file.
  ///
  /// @param wanted names of columns, each once
  /// @return what a person should know about the file, a line each
  /// @throws InvalidInputException if the file is missing or broken, or a column is missing or
  ///   there twice; whatever `sink` throws
  static List<String> read(Path file, List<String> wanted, Sink sink) {
    var table = new CsvTable(file, wanted, sink);
    if (Files.isDirectory(file)) {
      throw table.refused("a folder, not a CSV file");
    }
    try (var text = new BufferedReader(SourceText.open(file), HEAD)) {
      table.findHeader(text);
      table.readRows(text);
    } catch (CsvParseException | UncheckedIOException e) {
      throw table.unreadable(e);
    } catch (IOException e) {
      throw new InvalidInputException(OneLine.of(file) + ": " + reason(OneLine.reason(e)), e);
    }
    return table.notes;
  }

  private static String reason(String reason) {
    return reason.startsWith("no such file") ? "no such file" : "cannot be read: " + reason;
  }

  /// The parser wraps what its source throws.
  private InvalidInputException unreadable(RuntimeException e) {
    String why = String.valueOf(e.getMessage());
    for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException ours) {
        return ours;
      }
      why += ": " + cause.getMessage();
    }
    return new InvalidInputException(
        "%s: not CSV: %s".formatted(OneLine.of(file), OneLine.of(why)), e);
  }

  private InvalidInputException refused(String format, Object... values) {
    return new InvalidInputException(
        OneLine.of(file) + ": " + String.format(Locale.ROOT, format, values));
  }

  // ---- the header

  private void findHeader(BufferedReader text) throws IOException {
    text.mark(HEAD);
    char[] start = new char[HEAD];
    int length = 0;
    for (int read = 0; read >= 0 && length < HEAD; length += Math.max(0, read)) {
      read = text.read(start, length, HEAD - length);
    }
    text.reset();
    String named = null;
    for (String line : new String(start, 0, length).split("\r\n|\r|\n", -1)) {
      if (preamble == 0 && line.matches("(?i)\"?sep=.\"?")) {
        separator = line.charAt(line.indexOf('=') + 1);
        named = line;
      } else if (!line.isBlank()) {
        boolean marked = line.startsWith("#");
        Character best = separatorOf(marked ? line.substring(1) : line, named != null);
        if (best != null || !marked) {
          separator = best == null ? separator : best;
          markedHeader = marked;
          return;
        }
      }
      preamble++;
    }
    throw refused("empty; a header with column names is needed");
  }

  /// The separator with which a line has all wanted columns; of several, that which makes most
  /// columns. Null if there is none.
  private @Nullable Character separatorOf(String line, boolean named) {
    Character best = null;
    int most = 0;
    for (char candidate : named ? new char[] {separator} : SEPARATORS) {
      List<String> names = split(line, candidate);
      if (names.containsAll(wanted) && names.size() > most) {
        best = candidate;
        most = names.size();
      }
    }
    if (best != null || named || line.startsWith("#")) {
      return best;
    }
    for (char candidate : SEPARATORS) { // so that a message can name the columns
      int count = split(line, candidate).size();
      if (count > Math.max(1, most) && wanted.stream().anyMatch(split(line, candidate)::contains)) {
        best = candidate;
        most = count;
      }
    }
    return best;
  }

  private static List<String> split(String line, char separator) {
    try {
      return stripped(builder(separator).ofSingleCsvRecord(line).getFields());
    } catch (CsvParseException _) {
      return List.of(); // such as a quote that is closed in a later line
    }
  }

  private static CsvReaderBuilder builder(char separator) {
    return CsvReader.builder()
        .fieldSeparator(separator)
        .skipEmptyLines(false)
        .extraFieldStrategy(FieldMismatchStrategy.IGNORE)
        .missingFieldStrategy(FieldMismatchStrategy.IGNORE)
        .allowUnclosedQuote(false)
        .trimWhitespacesAroundQuotes(separator != '\t');
  }

  private static List<String> stripped(List<String> fields) {
    return fields.stream().map(String::strip).toList();
  }

  private void takeHeader(List<String> names) {
    header = stripped(names);
    places = new int[wanted.size()];
    for (int i = 0; i < places.length; i++) {
      String name = wanted.get(i);
      places[i] = header.indexOf(name);
      if (places[i] < 0) {
        throw refused("no column \"%s\"; there are %s", OneLine.of(name), OneLine.of(header));
      }
      if (header.lastIndexOf(name) != places[i]) {
        throw refused(
            "column %s is there %d times, as columns %d and %d; give each a name of its own",
            OneLine.of(name),
            Collections.frequency(header, name),
            places[i] + 1,
            header.lastIndexOf(name) + 1);
      }
    }
  }

  // ---- the rows

  private void readRows(BufferedReader text) throws IOException {
    if (markedHeader) {
      text.mark(HEAD);
      String line = "";
      for (int i = 0; i <= preamble; i++) {
        line = String.valueOf(text.readLine());
      }
      text.reset();
      takeHeader(split(line.substring(1), separator));
      preamble++;
    }
    try (CsvReader<CsvRecord> records =
        builder(separator)
            .commentStrategy(CommentStrategy.READ)
            .commentCharacter('#')
            .ofCsvRecord(text)) {
      records.skipLines(preamble);
      var blank = new ArrayList<CsvRecord>(); // rows only if others follow
      long comments = 0;
      long firstComment = 0;
      for (CsvRecord found : records) {
        if (found.isComment() && !isMissingValue(found)) {
          firstComment = comments++ == 0 ? found.getStartingLineNumber() : firstComment;
        } else if (header.isEmpty()) {
          takeHeader(found.getFields());
        } else if (found.getFields().stream().allMatch(String::isBlank)) {
          blank.add(found);
        } else {
          for (CsvRecord empty : blank) {
            if (empty.getFieldCount() > 1 || header.size() == 1) {
              row(empty.getStartingLineNumber(), empty.getFields());
            }
          }
          blank.clear();
          row(
              found.getStartingLineNumber(),
              found.isComment() ? split("#" + found.getField(0), separator) : found.getFields());
        }
      }
      if (comments > 0) {
        notes.add(
            String.format(
                Locale.ROOT,
                "%s: lines that begin with # are comments: %,d, the first is line %d; a name that begins so needs quotes",
                OneLine.of(file),
                comments,
                firstComment));
      }
      if (rows == 0) {
        throw refused(
            "no rows under the header%s",
            comments == 0 ? "" : "; lines that begin with # are comments");
      }
    }
  }

  /// A row that begins with `#N/A`, as spreadsheets write a missing value.
  private static boolean isMissingValue(CsvRecord comment) {
    return comment.getField(0).regionMatches(true, 0, "N/A", 0, 3);
  }

  private void row(long line, List<String> fields) {
    if (stripped(fields).equals(header)) {
      throw refused("line %d repeats the header; take it out", line);
    }
    int least = header.size();
    while (least > 1 && header.get(least - 1).isEmpty()) {
      least--; // trailing columns without a name may be left out
    }
    boolean fits =
        fields.size() >= least && fields.stream().skip(header.size()).allMatch(String::isBlank);
    if (!fits) {
      throw refused(
          "line %d: %d fields, but the header has %d%s",
          line,
          fields.size(),
          header.size(),
          separator == ',' && fields.size() > header.size()
              ? "; a field with a comma needs quotes, and numbers are written with a point"
              : "");
    }
    String[] values = new String[places.length];
    for (int i = 0; i < places.length; i++) {
      values[i] = places[i] < fields.size() ? fields.get(places[i]).strip() : "";
    }
    rows++;
    sink.row(line, values);
  }
}
