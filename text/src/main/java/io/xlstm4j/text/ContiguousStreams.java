package io.xlstm4j.text;

/// Tokens cut into `sequences` streams of nearly equal length that are read side by side.
///
/// Every token but the very first is a target in exactly one window of one stream; the shorter
/// streams end in padding.
record ContiguousStreams(Tokens tokens, int sequences, int length) {
  ContiguousStreams {
    SequenceRange.checkShape(sequences, length);
  }

  /// Targets of a full stream.
  private long streamLength() {
    return Math.ceilDiv(tokens.size() - 1, (long) sequences);
  }

  /// Returns the number of windows of `length` in a full stream.
  long windows() {
    return Math.ceilDiv(streamLength(), (long) length);
  }

  /// One window of the streams [from, to).
  Batch window(long window, int from, int to) {
    Batch batch = Batch.padding(to - from, length, tokens.endOfText());
    long streamLength = streamLength();
    long position = window * length;
    for (int stream = from; stream < to; stream++) {
      long start = stream * streamLength;
      long end = Math.min(start + Math.min(position + length, streamLength), tokens.size() - 1);
      batch.fill(stream - from, 0, tokens, start + position, end);
    }
    return batch;
  }
}
