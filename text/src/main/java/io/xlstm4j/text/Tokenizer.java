package io.xlstm4j.text;

import java.util.List;

/// Turns text into token ids and back. Safe for use by several threads.
///
/// Text never becomes a special token: `<|endoftext|>` written in a document is thirteen ordinary
/// characters. A lone surrogate, which no file can hold, counts as U+FFFD.
public interface Tokenizer extends AutoCloseable {
  /// The text that stands for the end of a document, in files and in decoded text.
  String END_OF_TEXT = "<|endoftext|>";

  /// A short name for people: `bytes`, `gpt2`, `tokenizer.json`.
  String name();

  /// Differs between two tokenizers whenever their encodings may differ.
  String fingerprint();

  /// One more than the highest id.
  int vocabSize();

  /// Returns whether one of the tokens ends a text.
  default boolean hasEndOfText() {
    return true;
  }

  /// The id that separates documents; `encode` never gives it.
  ///
  /// @throws InvalidTextException if no token ends a text
  int endOfText();

  /// The ids of a text; none for the empty text, nothing added in front or behind.
  int[] encode(String text);

  /// The ids of each text, in order; faster than one call for each where there are many.
  default List<int[]> encodeAll(List<String> texts) {
    return texts.stream().map(this::encode).toList();
  }

  /// The text of the ids. Bytes that are not UTF-8 become U+FFFD; special tokens show as they are
  /// written in the vocabulary.
  ///
  /// @throws IndexOutOfBoundsException if an id is not in [0, vocabSize)
  String decode(int[] ids);

  /// A decoder that takes one id at a time, for one text at a time.
  StreamDecoder streamDecoder();

  /// Frees native memory; only `name`, `vocabSize` and the like may be called afterwards.
  @Override
  void close();
}
