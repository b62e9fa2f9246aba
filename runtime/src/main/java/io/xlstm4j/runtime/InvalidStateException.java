package io.xlstm4j.runtime;

import io.xlstm4j.core.InvalidInputException;

/// A saved state that cannot be used: damaged, of another model, or no state at all.
public final class InvalidStateException extends InvalidInputException {
  private static final long serialVersionUID = 1;

  public InvalidStateException(String message) {
    super(message);
  }

  public InvalidStateException(String message, Throwable cause) {
    super(message, cause);
  }
}
