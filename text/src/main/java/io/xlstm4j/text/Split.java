package io.xlstm4j.text;

/// The two parts of a corpus.
public enum Split {
  /// The part that a model is trained on.
  TRAIN,
  /// The part that it is evaluated on and never trained on.
  VALIDATION
}
