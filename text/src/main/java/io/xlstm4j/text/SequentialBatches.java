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
  private final TokenFile tokens;
  private final int rows;
  private final int length;
  private final long laneLength;
  private long position; // in every lane

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param rows B, lanes
  /// @param length S, tokens of a lane in one batch
  public SequentialBatches(TokenFile tokens, int rows, int length) {
    if (rows < 1 || length < 1) {
      throw new IllegalArgumentException(
          "rows (%d) and length (%d) must be positive".formatted(rows, length));
    }
    this.tokens = tokens;
    this.rows = rows;
    this.length = length;
    this.laneLength = Math.ceilDiv(tokens.size() - 1, (long) rows);
  }

  /// How many batches there are in all.
  public long count() {
    return Math.ceilDiv(laneLength, (long) length);
  }

  /// Whether some token was not yet a target.
  @Override
  public boolean hasNext() {
    return position < laneLength;
  }

  @Override
  public Batch next() {
    if (!hasNext()) {
      throw new NoSuchElementException("all " + count() + " batches were given");
    }
    Batch batch = Batch.padding(rows, length, tokens.endOfText());
    long last = tokens.size() - 1;
    for (int row = 0; row < rows; row++) {
      long lane = row * laneLength;
      long to = Math.min(lane + Math.min(position + length, laneLength), last);
      batch.fill(row, tokens, lane + position, to);
    }
    position += length;
    return batch;
  }
}
