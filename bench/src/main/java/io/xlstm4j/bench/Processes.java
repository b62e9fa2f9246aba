package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;

/// Processes that are waited for.
public final class Processes {
  private Processes() {}

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
