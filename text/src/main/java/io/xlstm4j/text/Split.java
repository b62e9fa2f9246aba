package io.xlstm4j.text;

/// The two parts of a corpus.
public enum Split {
  /// What a model learns from.
  TRAIN,
  /// What it is measured on, and never sees.
  VALIDATION
}
