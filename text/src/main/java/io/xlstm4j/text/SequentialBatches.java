package io.xlstm4j.text;

import java.util.Iterator;
import java.util.NoSuchElementException;

/// Batches to evaluate on: the tokens from first to last, once.
///
/// The tokens are cut into `sequences` streams of nearly equal length. Sequence r of every batch
/// reads on in stream r where it stopped in the batch before, so a model's state can be carried
/// from batch to batch. Every token but the very first is a target exactly once; the shorter
/// streams end in padding.
public final class SequentialBatches implements Iterator<Batch> {
  private final ContiguousStreams streams;
  private long next;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param sequences B, streams
  /// @param length S, tokens of a stream in one batch
  public SequentialBatches(Tokens tokens, int sequences, int length) {
    this.streams = new ContiguousStreams(tokens, sequences, length);
  }

  /// Returns the number of batches in all.
  public long count() {
    return streams.windows();
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
    return streams.window(next++, 0, streams.sequences());
  }
}
