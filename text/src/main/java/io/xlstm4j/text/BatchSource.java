package io.xlstm4j.text;

/// Batches to train on, by number and without end.
///
/// Each batch is a pure function of the source and its number: any one can be asked for at any time
/// and by any process, in whole or in part, so a run that resumes needs a number, and ranks that
/// share a batch need nothing from each other. Safe for use by several threads.
///
/// Every batch has at least one target. A range of its sequences may have none.
public interface BatchSource {
  /// B, sequences of a whole batch.
  int sequences();

  /// S, tokens of a sequence.
  int length();

  /// The sequences [from, to) of a batch, the same as in the whole batch.
  ///
  /// @param number of the batch, from 0
  /// @throws IndexOutOfBoundsException if the number is negative or the range is empty or not in
  ///   [0, sequences)
  Batch sequences(long number, int from, int to);

  /// All sequences of a batch.
  ///
  /// @param number from 0
  /// @throws IndexOutOfBoundsException if the number is negative
  default Batch batch(long number) {
    return sequences(number, 0, sequences());
  }

  /// Targets of one epoch, ignored ones not counted.
  long targetsPerEpoch();

  /// Returns the epochs completed after the batches [0, batches).
  double epochs(long batches);

  /// Returns whether sequence r of a batch goes on where sequence r of the batch before ended, so
  /// that the state may be carried from one to the next.
  default boolean continuous() {
    return false;
  }

  /// Differs between two sources whenever their batches may differ: 64 hexadecimal digits.
  String fingerprint();

  /// Says which tokenizer made the ids: 64 hexadecimal digits, as `Tokens` has.
  String tokenizerFingerprint();

  /// The tokenizer's fingerprint as sources and tokens carry it.
  static String fingerprintOf(Tokenizer tokenizer) {
    return Fingerprint.of(tokenizer.fingerprint());
  }
}
