package io.xlstm4j.text;

/// Windows of whole documents in random order.
///
/// A document begins with its end-of-text id, which predicts its first token, and ends with the
/// prediction of the next one. Documents are packed into windows first fit, with 128 of them open
/// at once; none is split. Of a document that is longer than a window, the rest is dropped. What
/// documents leave of a window is padding. Which documents share a window is the same in every
/// epoch; the windows come in another order each time.
///
/// With `stream` windows, `Batches`, every token is a target; here every document begins in its
/// window, so that nothing is predicted from an unknown beginning.
public final class DocumentBatches implements BatchSource {
  private final Tokens tokens;
  private final int length;
  private final DocumentPacking packing;
  private final BatchOrder order;

  /// Reads all tokens once, to pack them.
  ///
  /// @param tokens stays open as long as batches are asked for; the caller closes it
  /// @param sequences B, windows in a batch
  /// @param length S, tokens in a window
  /// @param seed of the order
  public DocumentBatches(Tokens tokens, int sequences, int length, long seed) {
    SequenceRange.checkShape(sequences, length);
    this.tokens = tokens;
    this.length = length;
    this.packing = new DocumentPacking(tokens, length);
    this.order = new BatchOrder(seed, packing.windows(), sequences);
  }

  /// Returns the order of the windows.
  public BatchOrder order() {
    return order;
  }

  /// Targets that a stream has and no window, because their documents are too long.
  public long droppedTargets() {
    return tokens.size() - 1 - packing.targets();
  }

  /// The share of places that hold a target and not padding, in (0, 1].
  public double fullness() {
    return (double) packing.targets() / packing.windows() / length;
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
      packing.fill(batch, sequence - from, order.window(number, sequence));
    }
    return batch;
  }

  @Override
  public long targetsPerEpoch() {
    return packing.targets();
  }

  @Override
  public double epochs(long batches) {
    return order.epochs(batches);
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of(
        "documents 1", tokens.fingerprint(), order.toString(), "length " + length);
  }

  @Override
  public String tokenizerFingerprint() {
    return tokens.tokenizerFingerprint();
  }
}
