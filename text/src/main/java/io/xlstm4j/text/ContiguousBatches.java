package io.xlstm4j.text;

/// Batches that go on where the one before ended, for back-propagation through time that is cut at
/// windows while the state is carried on.
///
/// The tokens are cut into one lane for each row, all equally long but the last ones, and row r of
/// batch i is the i-th window of lane r. After the last window an epoch ends and the next one
/// begins with the first again, in the same order. In an epoch every token but the very first is a
/// target exactly once; nothing is dropped: the last window of a lane is padded, and so is what
/// lanes at the end lack.
///
/// `starts` is true at the first input of each lane in an epoch, besides the starts of documents,
/// so that carried state is empty there. Who resets at nothing else asks `startsEpoch`.
public final class ContiguousBatches implements BatchSource {
  private final ContiguousStreams lanes;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param rows B, lanes
  /// @param length S, tokens of a lane in one batch
  public ContiguousBatches(Tokens tokens, int rows, int length) {
    this.lanes = new ContiguousStreams(tokens, rows, length);
  }

  /// Returns the number of batches in an epoch.
  public long batchesPerEpoch() {
    return lanes.windows();
  }

  /// Returns whether the batch is the first of an epoch: its rows go on from nothing.
  public boolean startsEpoch(long number) {
    return number % lanes.windows() == 0;
  }

  @Override
  public int rows() {
    return lanes.rows();
  }

  @Override
  public int length() {
    return lanes.length();
  }

  @Override
  public Batch rows(long number, int from, int to) {
    SequenceRange.check(number, from, to, rows());
    Batch batch = lanes.window(number % lanes.windows(), from, to);
    if (startsEpoch(number)) {
      for (int row = 0; row < batch.rows(); row++) {
        batch.starts()[row * length()] = true;
      }
    }
    return batch;
  }

  @Override
  public long targetsPerEpoch() {
    return lanes.tokens().size() - 1;
  }

  @Override
  public double epochs(long batches) {
    return (double) batches / lanes.windows();
  }

  @Override
  public boolean continuous() {
    return true;
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of("lanes 1", lanes.tokens().fingerprint(), rows() + " x " + length());
  }

  @Override
  public String tokenizerFingerprint() {
    return lanes.tokens().tokenizerFingerprint();
  }
}
