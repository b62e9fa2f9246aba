package io.xlstm4j.core.checkpoint;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;

/// The real disk, except that one step fails; the steps after it work again.
class FailingOps implements FileOps {
  private int left;

  /// Fails at step `failing`, counted from 0.
  FailingOps(int failing) {
    this.left = failing;
  }

  boolean hasFailed() {
    return left < 0;
  }

  private void step(Path path) throws IOException {
    if (left-- == 0) {
      throw new FileSystemException(path.toString(), null, "No space left on device");
    }
  }

  @Override
  public void createFolder(Path folder) throws IOException {
    step(folder);
    DISK.createFolder(folder);
  }

  @Override
  public void write(Path file, byte[] bytes) throws IOException {
    step(file);
    DISK.write(file, bytes);
  }

  @Override
  public void sync(Path fileOrFolder) throws IOException {
    step(fileOrFolder);
  }

  @Override
  public void move(Path from, Path to) throws IOException {
    step(from);
    DISK.move(from, to);
  }

  @Override
  public void delete(Path path) throws IOException {
    step(path);
    DISK.delete(path);
  }
}
