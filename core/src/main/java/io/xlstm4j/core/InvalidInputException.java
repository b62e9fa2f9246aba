package io.xlstm4j.core;

/// Something the user gave is wrong: a file, a key, a value. The message is one clear line that
/// names it, shows what was found and says what would be right.
public class InvalidInputException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public InvalidInputException(String message) {
    super(message);
  }

  public InvalidInputException(String message, Throwable cause) {
    super(message, cause);
  }
}
