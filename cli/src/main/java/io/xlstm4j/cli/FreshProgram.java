package io.xlstm4j.cli;

import io.xlstm4j.bench.Measurement;
import io.xlstm4j.bench.Processes;
import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.util.ArrayList;
import java.util.List;

/// Starts this program in a process of its own, as this one was started.
final class FreshProgram {
  private FreshProgram() {}

  /// Runs `bench` there.
  ///
  /// @throws InvalidInputException if it fails; it has written the reason to standard error
  static List<Measurement> bench(List<String> arguments) {
    var command = new ArrayList<String>(Processes.java(Main.class, List.of()));
    command.add("bench");
    command.addAll(arguments);
    command.add("--json");
    try {
      Process process = new ProcessBuilder(command).redirectError(Redirect.INHERIT).start();
      process.getOutputStream().close();
      List<String> lines = process.inputReader().lines().toList();
      int code = Processes.exitCode(process);
      if (code != 0) {
        throw new InvalidInputException(
            "bench %s ended with %d".formatted(String.join(" ", arguments), code));
      }
      return lines.stream().map(Measurement::parse).toList();
    } catch (IOException e) {
      throw new InvalidInputException("a second process cannot be started: " + e.getMessage(), e);
    }
  }
}
