package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.text.InvalidTextException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.function.Consumer;
import picocli.CommandLine;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/// Errors as one line, and the exit code that goes with them.
final class ErrorHandlers {
  private ErrorHandlers() {}

  /// Wrong usage: the line, and where help is.
  static int usage(ParameterException error, String[] arguments) {
    CommandLine command = error.getCommandLine();
    PrintWriter err = command.getErr();
    err.println(firstLine("xlstm: " + error.getMessage()));
    if (!UnmatchedArgumentException.printSuggestions(error, err)) {
      err.println("Try: " + command.getCommandSpec().qualifiedName() + " --help");
    }
    err.flush();
    return ExitCode.USAGE;
  }

  /// A failure: one line for what the user can mend, the stack on request.
  static int failure(Exception error, CommandLine command, boolean verbose) {
    PrintWriter err = command.getErr();
    err.println("xlstm: " + message(error));
    if (verbose) {
      error.printStackTrace(err);
    } else if (!isUsers(error)) {
      err.println("This is not a mistake of yours; --verbose shows where it happened.");
    }
    err.flush();
    return ExitCode.SOFTWARE;
  }

  /// Prints what a user should know, though the work goes on.
  static Consumer<String> warner(CommandLine command) {
    return line -> {
      command.getErr().println("xlstm: warning: " + firstLine(line));
      command.getErr().flush();
    };
  }

  private static boolean isUsers(Throwable error) {
    return error instanceof InvalidInputException
        || error instanceof InvalidTextException
        || error instanceof UncheckedIOException;
  }

  private static String message(Throwable error) {
    String message = error.getMessage();
    return firstLine(
        isUsers(error) && message != null
            ? message
            : error.getClass().getSimpleName() + ": " + message);
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse("");
  }
}
