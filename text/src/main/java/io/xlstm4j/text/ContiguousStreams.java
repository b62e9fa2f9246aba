package io.xlstm4j.text;

/// Tokens cut into `rows` lanes of nearly equal length that are read side by side.
///
/// Every token but the very first is a target in exactly one window of one lane; the shorter lanes
/// end in padding.
record ContiguousStreams(Tokens tokens, int rows, int length) {
  ContiguousStreams {
    SequenceRange.checkShape(rows, length);
  }

  /// Targets of a full lane.
  private long laneLength() {
    return Math.ceilDiv(tokens.size() - 1, (long) rows);
  }

  /// Returns the number of windows of `length` in a full stream.
  long windows() {
    return Math.ceilDiv(laneLength(), (long) length);
  }

  /// One window of the lanes [from, to).
  Batch window(long window, int from, int to) {
    Batch batch = Batch.padding(to - from, length, tokens.endOfText());
    long laneLength = laneLength();
    long position = window * length;
    for (int lane = from; lane < to; lane++) {
      long start = lane * laneLength;
      long end = Math.min(start + Math.min(position + length, laneLength), tokens.size() - 1);
      batch.fill(lane - from, 0, tokens, start + position, end);
    }
    return batch;
  }
}
