package io.xlstm4j.train.series;

/// Sequences of numbers with what is to be predicted of them, by number.
public interface SequenceDataset {
  /// Returns the number of sequences.
  long size();

  /// @param index in [0, size)
  Item item(long index);

  /// A sequence.
  ///
  /// @param length S, its positions
  /// @param features `(S, F)`, row-major
  /// @param targets `(outputs)`, or `(S, outputs)` of every position; NaN where there is none
  record Item(int length, float[] features, float[] targets) {}
}
