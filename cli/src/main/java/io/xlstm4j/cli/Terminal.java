package io.xlstm4j.cli;

import java.io.Console;

/// What is known of the terminal that the program runs in.
final class Terminal {
  private Terminal() {}

  /// Whether somebody is watching; false under a pipe, a file or a test.
  static boolean isInteractive() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }
}
