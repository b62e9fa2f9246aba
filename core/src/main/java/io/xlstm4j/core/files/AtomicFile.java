package io.xlstm4j.core.files;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/// Replaces a file as one step: whoever opens it, also after a power cut, sees all of the old bytes
/// or all of the new ones.
public final class AtomicFile {
  private AtomicFile() {}

  /// Writes the bytes of a new file.
  @FunctionalInterface
  public interface Body {
    /// Writes everything, from position 0.
    void writeTo(FileChannel channel) throws IOException;
  }

  /// Writes `target` under a temporary hidden name in the same folder, syncs it, and renames it. If
  /// anything fails, the temporary file is removed and the old file is as it was. Only a process
  /// that is killed leaves its temporary file, `.NAME.*.tmp`.
  ///
  /// @throws InvalidInputException if the system refuses, for example for want of space
  public static void write(Path target, Body body) {
    Path whole = target.toAbsolutePath();
    Path name = whole.getFileName();
    if (name == null) {
      throw new InvalidInputException(OneLine.of(target) + ": cannot be written: not a file name");
    }
    Path temporary = whole.resolveSibling("." + name + "." + UUID.randomUUID() + ".tmp");
    try {
      writeAndMove(temporary, whole, body);
      sync(parentOf(whole));
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(target) + ": cannot be written: " + OneLine.reason(e), e);
    }
  }

  private static void writeAndMove(Path temporary, Path whole, Body body) throws IOException {
    try {
      try (var channel =
          FileChannel.open(temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
        body.writeTo(channel);
        channel.force(true);
      }
      move(temporary, whole);
    } catch (Throwable e) {
      deleteAfter(e, temporary);
      throw e;
    }
  }

  /// Renames a file or a folder over its namesake, as one step.
  ///
  /// @throws IOException if the system refuses; then nothing has changed
  public static void move(Path from, Path to) throws IOException {
    try {
      Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (AtomicMoveNotSupportedException e) {
      throw new IOException("the file system cannot rename as one step", e);
    }
  }

  /// Waits until a file's bytes, or a folder's entries, are on the disk.
  ///
  /// @throws IOException if the system refuses
  public static void sync(Path fileOrFolder) throws IOException {
    if (Files.isDirectory(fileOrFolder)) {
      if (fileOrFolder.getFileSystem().getSeparator().equals("\\")) {
        return; // Windows syncs no folders, and keeps the order of renames by its own journal
      }
      try (var channel = FileChannel.open(fileOrFolder, StandardOpenOption.READ)) {
        channel.force(true);
      }
    } else {
      try (var channel = FileChannel.open(fileOrFolder, StandardOpenOption.WRITE)) {
        channel.force(true);
      }
    }
  }

  /// Writes all of `bytes`, however many calls the system takes for it.
  ///
  /// @throws IOException if the system refuses
  public static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  private static Path parentOf(Path absolute) {
    Path parent = absolute.getParent();
    return parent == null ? absolute : parent;
  }

  private static void deleteAfter(Throwable failure, Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      failure.addSuppressed(e);
    }
  }
}
