package io.xlstm4j.cli;

import java.nio.file.Path;

/// The name of this program, as the user started it.
final class Program {
  /// The system property in which the launcher passes the name, quoted for a shell.
  private static final String PROPERTY = "xlstm4j.program";

  private Program() {}

  /// The name, for example `./xlstm`; `xlstm` if the launcher was not used.
  static String name() {
    return System.getProperty(PROPERTY, "xlstm");
  }

  /// A command line of this program that can be pasted into a shell.
  ///
  /// @param arguments words that need no quotes; the last may be a path, see [#quoted]
  static String command(String arguments) {
    return name() + " " + arguments;
  }

  /// A path as a shell takes it: in quotes if it has anything but letters, digits and `._-/+=@%:`.
  static String quoted(Path path) {
    return quoted(path.toString());
  }

  /// A word as a shell takes it.
  static String quoted(String word) {
    boolean plain = !word.isEmpty() && word.codePoints().allMatch(Program::isPlain);
    return plain ? word : "'" + word.replace("'", "'\\''") + "'";
  }

  private static boolean isPlain(int c) {
    return Character.isLetterOrDigit(c) || "._-/+=@%:".indexOf(c) >= 0;
  }
}
