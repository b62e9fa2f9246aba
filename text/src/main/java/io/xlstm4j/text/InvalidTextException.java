package io.xlstm4j.text;

/// Thrown when the user's input is wrong: a file, a folder, a name, a size.
///
/// The message is one line that names the file or the value, says what was found and what would be
/// right; a program can show it as it is.
public final class InvalidTextException extends RuntimeException {
  /// @param message one complete line for the user
  public InvalidTextException(String message) {
    super(message);
  }

  /// @param message one complete line for the user
  /// @param cause what a developer wants to see as well
  public InvalidTextException(String message, Throwable cause) {
    super(message, cause);
  }
}
