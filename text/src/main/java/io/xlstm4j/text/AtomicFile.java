package io.xlstm4j.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/// Writes a file so that its name always shows a complete one: the old or the new.
final class AtomicFile {
  /// Behind the name of a file that is being written; a number follows.
  static final String UNFINISHED = ".unfinished-";

  private AtomicFile() {}

  /// Writes the content of the file.
  interface Content {
    void writeTo(FileChannel file) throws IOException;
  }

  /// @throws UncheckedIOException if the file cannot be written; the old one is then untouched
  static void write(Path target, byte[] content) {
    write(
        target,
        file -> {
          var rest = ByteBuffer.wrap(content);
          while (rest.hasRemaining()) {
            file.write(rest);
          }
        });
  }

  /// @throws UncheckedIOException if the file cannot be written; the old one is then untouched
  static void write(Path target, Content content) {
    Path absolute = target.toAbsolutePath();
    Path unfinished =
        absolute.resolveSibling(
            absolute.getFileName()
                + UNFINISHED
                + ProcessHandle.current().pid()
                + "-"
                + Thread.currentThread().threadId());
    try {
      Path folder = absolute.getParent();
      if (folder != null) {
        Files.createDirectories(folder);
      }
      try (var file =
          FileChannel.open(
              unfinished,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        content.writeTo(file);
        file.force(true);
      }
      Files.move(unfinished, absolute, StandardCopyOption.ATOMIC_MOVE);
      if (folder != null) {
        sync(folder);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot write " + target + ": " + ErrorReason.of(e), e);
    } finally {
      deleteQuietly(unfinished);
    }
  }

  /// Makes a rename in a folder durable, where the system can sync a folder.
  static void sync(Path folder) {
    try (var channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException _) {
      // not every system opens folders; the file itself is synced
    }
  }

  private static void deleteQuietly(Path path) {
    try {
      Files.deleteIfExists(path);
    } catch (IOException _) {
      // the failure that left it there is already on its way
    }
  }
}
