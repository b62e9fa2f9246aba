package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// A file that grows by whole records. It is kept open, and every record is one write to the
/// system: a killed process leaves whole records, and a full disk leaves those before it.
final class AppendOnlyFile implements AutoCloseable {
  private final Path path;
  private final RandomAccessFile file; // not a channel: an interrupt would close that
  private long lastStart;
  private long end;

  private AppendOnlyFile(Path path, RandomAccessFile file, long end) {
    this.path = path;
    this.file = file;
    this.end = end;
    this.lastStart = end;
  }

  /// Opens the file, or makes it, to write behind what it has.
  ///
  /// @throws InvalidInputException if the system refuses
  static AppendOnlyFile open(Path path) {
    try {
      Files.newOutputStream(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND).close();
      var file = new RandomAccessFile(path.toFile(), "rw");
      return new AppendOnlyFile(path, file, file.length());
    } catch (IOException e) {
      throw refused(path, e);
    }
  }

  boolean isEmpty() {
    return end == 0;
  }

  Path path() {
    return path;
  }

  /// Writes a record behind the last.
  ///
  /// @throws InvalidInputException if the system refuses; the file then ends as it did before
  void append(byte[] record) {
    write(record, record.length, end);
  }

  /// Writes the first `length` bytes behind the last record.
  void append(byte[] bytes, int length) {
    write(bytes, length, end);
  }

  /// Writes a record over the one that was appended last.
  void replaceLast(byte[] record) {
    write(record, record.length, lastStart);
  }

  /// Says that the last `length` bytes are one record, as after reading an old file.
  void lastRecordHas(long length) {
    lastStart = end - length;
  }

  private void write(byte[] bytes, int length, long at) {
    try {
      file.seek(at);
      file.write(bytes, 0, length);
      if (at + length < end) {
        file.setLength(at + length);
      }
    } catch (IOException e) {
      cutBack(e, at);
      throw refused(path, e);
    }
    lastStart = at;
    end = at + length;
  }

  private void cutBack(IOException failure, long to) {
    try {
      file.setLength(to);
      end = to;
      lastStart = to;
    } catch (IOException e) {
      failure.addSuppressed(e);
    }
  }

  private static InvalidInputException refused(Path path, IOException e) {
    return new InvalidInputException(
        OneLine.of(path) + ": cannot be written: " + OneLine.reason(e), e);
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      throw refused(path, e);
    }
  }
}
