package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.files.AtomicFile;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicBoolean;

/// Reads text files whose lines belong to steps, without holding them in memory.
final class StepLines {
  /// The value of [StepOf] for a line that is always kept.
  static final long ALWAYS = -1;

  private static final int BUFFER = 1 << 16;

  private StepLines() {}

  /// Says which step a line belongs to.
  @FunctionalInterface
  interface StepOf {
    /// @param number of the line, from 1 on
    /// @throws InvalidInputException if it is not a line of such a file
    long stepOf(String line, int number);
  }

  /// Called with whole lines.
  @FunctionalInterface
  interface Visitor {
    /// @param number of the line, from 1 on
    void line(String line, int number) throws IOException;
  }

  /// Gives every line that ends in a line break to `visitor`; a torn last line is left out.
  ///
  /// @return bytes of the lines given
  /// @throws InvalidInputException if the file cannot be read
  static long visit(Path file, Visitor visitor) {
    try (var in = new BufferedInputStream(Files.newInputStream(file), BUFFER)) {
      return visit(in, visitor);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  private static long visit(InputStream in, Visitor visitor) throws IOException {
    var line = new ByteArrayOutputStream();
    long whole = 0;
    int number = 0;
    var buffer = new byte[BUFFER];
    for (int read = in.read(buffer); read >= 0; read = in.read(buffer)) {
      int start = 0;
      for (int i = 0; i < read; i++) {
        if (buffer[i] == '\n') {
          line.write(buffer, start, i - start);
          start = i + 1;
          whole += line.size() + 1;
          visitor.line(line.toString(StandardCharsets.UTF_8), ++number);
          line.reset();
        }
      }
      line.write(buffer, start, read - start);
    }
    return whole;
  }

  /// Drops the lines past `lastStep` and a torn last line; leaves a file alone that has none.
  ///
  /// @throws InvalidInputException if the file cannot be read or written, or `stepOf` refuses a
  ///   line
  static void dropAfter(Path file, long lastStep, StepOf stepOf) {
    try {
      if (!Files.exists(file)) {
        return;
      }
      var dropped = new AtomicBoolean();
      long whole =
          visit(
              file,
              (line, number) -> {
                if (stepOf.stepOf(line, number) > lastStep) {
                  dropped.set(true);
                }
              });
      if (!dropped.get() && whole == Files.size(file)) {
        return;
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    }
    rewrite(
        file,
        (line, number, out) -> {
          if (stepOf.stepOf(line, number) <= lastStep) {
            out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
          }
        });
  }

  /// Writes what becomes of a line.
  @FunctionalInterface
  interface Rewriter {
    void line(String line, int number, OutputStream out) throws IOException;
  }

  /// Replaces the file, as one step, by what `rewriter` makes of its whole lines.
  static void rewrite(Path file, Rewriter rewriter) {
    AtomicFile.write(
        file,
        channel -> {
          var out = new BufferedOutputStream(Channels.newOutputStream(channel), BUFFER);
          visit(file, (line, number) -> rewriter.line(line, number, out));
          out.flush();
        });
  }
}
