package io.xlstm4j.text;

/// One part of a corpus as token ids.
///
/// Each document is the end-of-text id followed by its tokens, and one more end-of-text id ends it
/// all: `E a a a E b b E`. So every token, the first of a document too, is predicted from
/// something. Safe to read by several threads until it is closed.
public interface Tokens extends AutoCloseable {
  /// The number of tokens, the end-of-text ids included; at least 2.
  long size();

  /// The token at a place.
  ///
  /// @throws IndexOutOfBoundsException if the place is not in [0, size)
  int get(long index);

  /// Copies the tokens [from, from + count) to `into`, from `offset` on.
  ///
  /// @throws IndexOutOfBoundsException if there are not so many tokens, or not so much room
  void read(long from, int[] into, int offset, int count);

  /// The number of documents.
  long documents();

  /// The length of all documents in UTF-8 bytes, for bits per byte; end-of-text ids count nothing.
  long textBytes();

  /// The bytes of text that so many targets stand for: `textBytes` for all of them, which are size
  /// - 1, and in proportion for a part.
  default double textBytes(long targets) {
    return (double) textBytes() * targets / (size() - 1);
  }

  /// The id between documents.
  int endOfText();

  /// The vocabulary size of the tokenizer; every id is below it.
  int vocabSize();

  /// Says from which corpus, part and tokenizer the tokens were made: 64 hexadecimal digits.
  String fingerprint();

  /// Says which tokenizer made them: 64 hexadecimal digits, equal for equal tokenizers.
  String tokenizerFingerprint();

  /// Frees what reading needs; reading afterwards throws IllegalStateException.
  @Override
  void close();
}
