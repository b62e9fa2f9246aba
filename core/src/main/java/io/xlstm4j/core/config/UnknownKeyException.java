package io.xlstm4j.core.config;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.util.List;

/// A key that somebody wrote and nobody knows.
public final class UnknownKeyException extends InvalidInputException {
  private static final long serialVersionUID = 1;

  private final String path;

  /// @param source the name of the file, for the message; empty for none
  /// @param path the whole dotted key
  /// @param siblings the keys that are known at its place
  UnknownKeyException(String source, String path, List<String> siblings) {
    super(
        StrictBinder.prefix(source)
            + "unknown key "
            + OneLine.of(path)
            + "; "
            + Suggestions.suggestion(path.substring(path.lastIndexOf('.') + 1), siblings));
    this.path = path;
  }

  /// The whole dotted key.
  public String path() {
    return path;
  }
}
