package io.xlstm4j.cli;

import java.io.PrintWriter;
import java.io.StringWriter;

/// One run of the program inside a test.
///
/// @param code exit code
/// @param out what it printed
/// @param err what it complained of
record CommandLineRun(int code, String out, String err) {
  static CommandLineRun of(String... arguments) {
    var out = new StringWriter();
    var err = new StringWriter();
    int code =
        Main.commandLine()
            .setOut(new PrintWriter(out, true))
            .setErr(new PrintWriter(err, true))
            .execute(arguments);
    return new CommandLineRun(code, out.toString(), err.toString());
  }
}
