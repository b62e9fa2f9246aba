package io.xlstm4j.train.parallel;

import io.xlstm4j.core.InvalidInputException;

/// A rank is gone, hangs or disagrees, so no rank can go on. Every rank that still can throws it
/// with the same line, which names that rank.
public final class RankFailedException extends InvalidInputException {
  private static final long serialVersionUID = 1;

  public RankFailedException(String message) {
    super(message);
  }
}
