package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.files.AtomicFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/// Every step by which a checkpoint folder changes the disk, so that a test can stop after each.
interface FileOps {
  /// Makes a folder whose parent exists.
  void createFolder(Path folder) throws IOException;

  /// Writes a new file.
  void write(Path file, byte[] bytes) throws IOException;

  /// Waits until a file's bytes, or a folder's entries, are on the disk.
  void sync(Path fileOrFolder) throws IOException;

  /// Renames a file or a folder over its namesake, as one step.
  void move(Path from, Path to) throws IOException;

  /// Removes a file, a link or an empty folder; one that is not there is fine.
  void delete(Path path) throws IOException;

  /// The real disk.
  FileOps DISK =
      new FileOps() {
        @Override
        public void createFolder(Path folder) throws IOException {
          Files.createDirectory(folder);
        }

        @Override
        public void write(Path file, byte[] bytes) throws IOException {
          try (var channel =
              FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            AtomicFile.writeFully(channel, ByteBuffer.wrap(bytes));
          }
        }

        @Override
        public void sync(Path fileOrFolder) throws IOException {
          AtomicFile.sync(fileOrFolder);
        }

        @Override
        public void move(Path from, Path to) throws IOException {
          AtomicFile.move(from, to);
        }

        @Override
        public void delete(Path path) throws IOException {
          Files.deleteIfExists(path);
        }
      };
}
