package io.xlstm4j.text;

import java.util.Iterator;
import java.util.NoSuchElementException;

/// Batches to evaluate on: the tokens from first to last, once.
///
/// The tokens are cut into `rows` lanes of nearly equal length. Row r of every batch reads on in
/// lane r where it stopped in the batch before, so a model's state can be carried from batch to
/// batch. Every token but the very first is a target exactly once; the shorter lanes end in
/// padding.
public final class SequentialBatches implements Iterator<Batch> {
  private final ContiguousStreams lanes;
  private long next;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param rows B, lanes
  /// @param length S, tokens of a lane in one batch
  public SequentialBatches(Tokens tokens, int rows, int length) {
    this.lanes = new ContiguousStreams(tokens, rows, length);
  }

  /// Returns the number of batches in all.
  public long count() {
    return lanes.windows();
  }

  /// Returns whether some token was not yet a target.
  @Override
  public boolean hasNext() {
    return next < count();
  }

  @Override
  public Batch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("all " + count() + " batches were given");
    }
    return lanes.window(next++, 0, lanes.rows());
  }
}
