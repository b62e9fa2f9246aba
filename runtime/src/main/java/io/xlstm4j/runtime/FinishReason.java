package io.xlstm4j.runtime;

/// Why a completion ended.
public enum FinishReason {
  /// The model chose a token that ends a text.
  END_OF_TEXT,
  /// The text reached a stop string.
  STOP_STRING,
  /// The wanted number of tokens was added.
  MAX_TOKENS,
  /// [Completion#cancel] was called, or the [Generation] was closed.
  CANCELLED
}
