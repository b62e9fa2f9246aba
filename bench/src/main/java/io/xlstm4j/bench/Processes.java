package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// Processes that are started and waited for.
public final class Processes {
  private Processes() {}

  /// The command that starts a class as this process was started: the same Java, its flags and
  /// class path.
  ///
  /// @param flags for Java, after those of this process
  public static List<String> java(Class<?> main, List<String> flags) {
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(flags);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    return List.copyOf(command);
  }

  /// Runs a command to its end.
  ///
  /// @param purpose for the message: `start`, if the process was to start
  /// @return what it wrote, errors too
  /// @throws InvalidInputException if it cannot be started or ends with another code than 0
  static List<String> outputOf(List<String> command, String purpose) {
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      List<String> said = process.inputReader().lines().toList();
      int code = exitCode(process);
      if (code != 0) {
        throw new InvalidInputException(
            "the process that was to %s ended with %d: %s"
                .formatted(purpose, code, OneLine.of(String.join("; ", said))));
      }
      return said;
    } catch (IOException e) {
      throw new InvalidInputException(
          "a second process cannot be started: " + OneLine.reason(e), e);
    }
  }

  /// Waits for the end; an interrupted wait ends the process.
  ///
  /// @throws InvalidInputException if the wait was interrupted
  public static int exitCode(Process process) {
    try {
      return process.waitFor();
    } catch (InterruptedException e) {
      process.destroy();
      Thread.currentThread().interrupt();
      throw new InvalidInputException("interrupted while a measurement ran", e);
    }
  }
}
