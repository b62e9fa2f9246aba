package io.xlstm4j.text;

/// Batches to train on, in random order; each is a pure function of the seed and its number.
///
/// The tokens are cut into windows of `length` inputs, and every token but the very first is a
/// target exactly once in an epoch. The last window is padded. Safe for use by several threads.
public final class Batches {
  private final TokenFile tokens;
  private final int length;
  private final BatchOrder order;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param rows B, windows in a batch
  /// @param length S, tokens in a window
  /// @param seed of the order
  public Batches(TokenFile tokens, int rows, int length, long seed) {
    if (length < 1) {
      throw new IllegalArgumentException("length (" + length + ") must be positive");
    }
    this.tokens = tokens;
    this.length = length;
    this.order = new BatchOrder(seed, Math.ceilDiv(tokens.size() - 1, (long) length), rows);
  }

  /// Where each window comes.
  public BatchOrder order() {
    return order;
  }

  /// The batch with this number, from 0, without end.
  ///
  /// @throws IndexOutOfBoundsException if the number is negative
  public Batch batch(long number) {
    Batch batch = Batch.padding(order.rows(), length, tokens.endOfText());
    for (int row = 0; row < order.rows(); row++) {
      long from = order.window(number, row) * length;
      batch.fill(row, tokens, from, Math.min(from + length, tokens.size() - 1));
    }
    return batch;
  }
}
