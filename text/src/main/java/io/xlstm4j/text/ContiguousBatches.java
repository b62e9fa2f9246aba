package io.xlstm4j.text;

/// Batches that go on where the one before ended, for back-propagation through time that is cut at
/// windows while the state is carried on.
///
/// The tokens are cut into one stream for each sequence, all equally long but the last ones, and
/// sequence r of batch i is the i-th window of stream r. After the last window an epoch ends and
/// the next one begins with the first again, in the same order. In an epoch every token but the
/// very first is a target exactly once; nothing is dropped: the last window of a stream is padded,
/// and so is what streams at the end lack.
///
/// `starts` is true at the first input of each stream in an epoch, besides the starts of documents,
/// so that carried state is empty there. Who resets at nothing else asks `startsEpoch`.
public final class ContiguousBatches implements BatchSource {
  private final ContiguousStreams streams;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param sequences B, streams
  /// @param length S, tokens of a stream in one batch
  public ContiguousBatches(Tokens tokens, int sequences, int length) {
    this.streams = new ContiguousStreams(tokens, sequences, length);
  }

  /// Returns the number of batches in an epoch.
  public long batchesPerEpoch() {
    return streams.windows();
  }

  /// Returns whether the batch is the first of an epoch: its sequences go on from nothing.
  public boolean startsEpoch(long number) {
    return number % streams.windows() == 0;
  }

  @Override
  public int sequences() {
    return streams.sequences();
  }

  @Override
  public int length() {
    return streams.length();
  }

  @Override
  public Batch sequences(long number, int from, int to) {
    SequenceRange.check(number, from, to, sequences());
    Batch batch = streams.window(number % streams.windows(), from, to);
    if (startsEpoch(number)) {
      for (int sequence = 0; sequence < batch.sequences(); sequence++) {
        batch.starts()[sequence * length()] = true;
      }
    }
    return batch;
  }

  @Override
  public long targetsPerEpoch() {
    return streams.tokens().size() - 1;
  }

  @Override
  public double epochs(long batches) {
    return (double) batches / streams.windows();
  }

  @Override
  public boolean continuous() {
    return true;
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of(
        "lanes 1", streams.tokens().fingerprint(), sequences() + " x " + length());
  }

  @Override
  public String tokenizerFingerprint() {
    return streams.tokens().tokenizerFingerprint();
  }
}
