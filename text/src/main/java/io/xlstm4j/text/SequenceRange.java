package io.xlstm4j.text;

/// A range of rows of a batch, as it is asked for.
final class SequenceRange {
  private SequenceRange() {}

  static void check(long number, int from, int to, int rows) {
    if (number < 0 || from < 0 || from >= to || to > rows) {
      throw new IndexOutOfBoundsException(
          "batch (%d) must not be negative, rows [%d, %d) must be some of [0, %d)"
              .formatted(number, from, to, rows));
    }
  }

  static void checkShape(int rows, int length) {
    if (rows < 1 || length < 1) {
      throw new IllegalArgumentException(
          "rows (%d) and length (%d) must be positive".formatted(rows, length));
    }
  }
}
