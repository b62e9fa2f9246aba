package io.xlstm4j.cli;

import io.xlstm4j.bench.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/// The program as a process of its own.
///
/// @param out what it prints
/// @param err what it complains of
record RunningProgram(Process process, Path out, Path err) implements AutoCloseable {
  private static final long PATIENCE_MILLISECONDS = 120_000;

  /// @param folder for what it prints
  static RunningProgram start(Path folder, String... arguments) throws IOException {
    Path out = Files.createTempFile(folder, "out", "");
    Path err = Files.createTempFile(folder, "err", "");
    var command = new ArrayList<String>(Processes.java(Main.class, List.of()));
    command.addAll(List.of(arguments));
    var builder = new ProcessBuilder(command);
    builder.environment().put("OMP_NUM_THREADS", "1");
    return new RunningProgram(
        builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start(), out, err);
  }

  /// Returns its error output, without Java's own line on the vector module.
  List<String> complaints() throws IOException {
    return Files.readAllLines(err).stream()
        .filter(line -> !line.startsWith("WARNING: Using incubator modules"))
        .toList();
  }

  /// Waits until something is so; fails if the program ends before.
  void await(String what, Callable<Boolean> isSo) throws Exception {
    for (long waited = 0; waited < PATIENCE_MILLISECONDS && process.isAlive(); waited += 20) {
      if (isSo.call()) {
        return;
      }
      Thread.sleep(20);
    }
    if (!isSo.call()) {
      throw new AssertionError("no %s:\n%s\n%s".formatted(what, said(out), said(err)));
    }
  }

  /// Waits until it prints something.
  void awaitLine(Path file, String part) throws Exception {
    await(part, () -> said(file).contains(part));
  }

  private static String said(Path file) throws IOException {
    return Files.readString(file);
  }

  /// Waits for the end.
  ///
  /// @return the exit code
  int end() throws Exception {
    if (!process.waitFor(PATIENCE_MILLISECONDS, TimeUnit.MILLISECONDS)) {
      throw new AssertionError("does not end:\n%s\n%s".formatted(said(out), said(err)));
    }
    return process.exitValue();
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }
}
