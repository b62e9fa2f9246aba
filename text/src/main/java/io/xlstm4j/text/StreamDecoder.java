package io.xlstm4j.text;

/// Decodes ids as they come, and never shows half a character.
///
/// All the pieces together, the last one from `finish`, equal `Tokenizer.decode` of all the ids.
/// Not safe for use by several threads.
public interface StreamDecoder {
  /// The text that this id completes, often one word, empty while a character is unfinished.
  ///
  /// @throws IndexOutOfBoundsException if the id is not in [0, vocabSize)
  String next(int id);

  /// The text still held back; the decoder is as new afterwards.
  String finish();
}
