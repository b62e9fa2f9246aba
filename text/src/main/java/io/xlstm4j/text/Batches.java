package io.xlstm4j.text;

/// Windows of a token stream in random order.
///
/// The tokens are cut into windows of `length` inputs, across documents, and every token but the
/// very first is a target exactly once in an epoch. The last window is padded.
public final class Batches implements BatchSource {
  private final Tokens tokens;
  private final int length;
  private final BatchOrder order;

  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param sequences B, windows in a batch
  /// @param length S, tokens in a window
  /// @param seed of the order
  public Batches(Tokens tokens, int sequences, int length, long seed) {
    SequenceRange.checkShape(sequences, length);
    this.tokens = tokens;
    this.length = length;
    this.order = new BatchOrder(seed, Math.ceilDiv(tokens.size() - 1, (long) length), sequences);
  }

  /// Returns the order of the windows.
  public BatchOrder order() {
    return order;
  }

  @Override
  public int sequences() {
    return order.sequences();
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public Batch sequences(long number, int from, int to) {
    SequenceRange.check(number, from, to, sequences());
    Batch batch = Batch.padding(to - from, length, tokens.endOfText());
    for (int sequence = from; sequence < to; sequence++) {
      long start = order.window(number, sequence) * length;
      batch.fill(sequence - from, 0, tokens, start, Math.min(start + length, tokens.size() - 1));
    }
    return batch;
  }

  @Override
  public long targetsPerEpoch() {
    return tokens.size() - 1;
  }

  @Override
  public double epochs(long batches) {
    return order.epochs(batches);
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of("windows 1", tokens.fingerprint(), order.toString(), "length " + length);
  }

  @Override
  public String tokenizerFingerprint() {
    return tokens.tokenizerFingerprint();
  }
}
