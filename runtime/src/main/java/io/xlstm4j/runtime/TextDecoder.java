package io.xlstm4j.runtime;

/// Turns ids into text as they come.
@FunctionalInterface
public interface TextDecoder {
  /// The text that this id completes; empty while a character is unfinished.
  String next(int id);

  /// Returns the text still held back, once no more ids come.
  default String finish() {
    return "";
  }
}
