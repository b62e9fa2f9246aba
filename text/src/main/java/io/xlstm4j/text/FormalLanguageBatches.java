package io.xlstm4j.text;

import java.util.Arrays;

/// Samples of a formal language, one in each sequence, in the order of their numbers.
///
/// A sequence reads x_1 .. x_{size - 1} and then padding, token 0. Its one target is the answer, at
/// the place of x_{size - 1}; all others are ignored. A sequence is a text of its own: `starts` is
/// true at its first place only. After the last sample the first comes again.
public final class FormalLanguageBatches implements BatchSource {
  /// Samples to train on in the experiments of xLSTM.
  public static final long TRAIN_SAMPLES = 5_120_000;

  /// Samples to validate with in the experiments of xLSTM.
  public static final long VALIDATION_SAMPLES = 8192;

  private final FormalLanguage language;
  private final Split split;
  private final int sequences;
  private final int length;
  private final long seed;
  private final long samples;
  private final String tokenizerFingerprint;

  /// @param split samples of one are not those of the other, but short ones may be equal
  /// @param sequences B, samples in a batch
  /// @param length S; the longest sample without its answer must fit
  /// @param samples in an epoch
  /// @throws InvalidTextException if `length` is too short
  public FormalLanguageBatches(
      FormalLanguage language, Split split, int sequences, int length, long seed, long samples) {
    SequenceRange.checkShape(sequences, length);
    if (samples < 1) {
      throw new IllegalArgumentException("samples (" + samples + ") must be positive");
    }
    if (language.maxLength() - 1 > length) {
      throw new InvalidTextException(
          "context length (%d) is too short for %s; it must be at least %d"
              .formatted(length, language, language.maxLength() - 1));
    }
    this.language = language;
    this.split = split;
    this.sequences = sequences;
    this.length = length;
    this.seed = seed;
    this.samples = samples;
    this.tokenizerFingerprint = BatchSource.fingerprintOf(language.tokenizer());
  }

  @Override
  public int sequences() {
    return sequences;
  }

  @Override
  public int length() {
    return length;
  }

  @Override
  public Batch sequences(long number, int from, int to) {
    SequenceRange.check(number, from, to, sequences);
    int size = Math.multiplyExact(to - from, length);
    int[] inputs = new int[size];
    int[] targets = new int[size];
    boolean[] starts = new boolean[size];
    Arrays.fill(targets, Batch.IGNORED);
    for (int sequence = from; sequence < to; sequence++) {
      long index = Math.addExact(Math.multiplyExact(number, sequences), sequence) % samples;
      FormalLanguage.Sample sample = language.sample(seed, split, index);
      int at = (sequence - from) * length;
      starts[at] = true;
      System.arraycopy(sample.tokens(), 0, inputs, at, sample.tokens().length);
      targets[at + sample.tokens().length - 1] = sample.answer();
    }
    return new Batch(to - from, length, inputs, targets, starts);
  }

  @Override
  public long targetsPerEpoch() {
    return samples;
  }

  @Override
  public double epochs(long batches) {
    return (double) batches * sequences / samples;
  }

  @Override
  public String fingerprint() {
    return Fingerprint.of(
        "formal language 1",
        language.toString(),
        split.name(),
        sequences + " x " + length,
        "seed " + seed,
        "samples " + samples);
  }

  @Override
  public String tokenizerFingerprint() {
    return tokenizerFingerprint;
  }
}
