package io.xlstm4j.core.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// The real disk until a given step; there the process dies, so no later step happens either.
final class CrashingOps implements FileOps {
  /// The process is gone.
  static final class Crash extends Error {
    private static final long serialVersionUID = 1;
  }

  final List<String> log = new ArrayList<>();
  private final int steps;

  /// Lives on.
  CrashingOps() {
    this(Integer.MAX_VALUE);
  }

  /// Lives for `steps` steps.
  CrashingOps(int steps) {
    this.steps = steps;
  }

  /// Counts one step, for a filler as well.
  void step(String what) {
    if (log.size() >= steps) {
      throw new Crash();
    }
    log.add(what);
  }

  @Override
  public void createFolder(Path folder) throws IOException {
    step("create " + folder.getFileName());
    DISK.createFolder(folder);
  }

  /// Two steps: after the first, half of the bytes are there.
  @Override
  public void write(Path file, byte[] bytes) throws IOException {
    step("begin " + file.getFileName());
    DISK.write(file, Arrays.copyOf(bytes, bytes.length / 2));
    step("write " + file.getFileName());
    Files.write(file, bytes, StandardOpenOption.WRITE);
  }

  /// Only noted: waiting for the disk makes no difference to a process that dies, and takes time.
  @Override
  public void sync(Path fileOrFolder) {
    step("sync " + fileOrFolder.getFileName());
  }

  @Override
  public void move(Path from, Path to) throws IOException {
    step("move " + from.getFileName() + " to " + to.getFileName());
    DISK.move(from, to);
  }

  @Override
  public void delete(Path path) throws IOException {
    step("delete " + path.getFileName());
    DISK.delete(path);
  }
}
