package io.xlstm4j.text;

/// A range of sequences of a batch, as it is asked for.
final class SequenceRange {
  private SequenceRange() {}

  static void check(long number, int from, int to, int sequences) {
    if (number < 0 || from < 0 || from >= to || to > sequences) {
      throw new IndexOutOfBoundsException(
          "batch (%d) must not be negative, sequences [%d, %d) must be some of [0, %d)"
              .formatted(number, from, to, sequences));
    }
  }

  static void checkShape(int sequences, int length) {
    if (sequences < 1 || length < 1) {
      throw new IllegalArgumentException(
          "sequences (%d) and length (%d) must be positive".formatted(sequences, length));
    }
  }
}
