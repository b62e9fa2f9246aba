package io.xlstm4j.core;

import java.util.List;

/// A language model one can run: tokens and a state in, logits and the next state out.
///
/// A state is a value. No call changes the states it was given, so one state may be continued many
/// times, and what a sequence's neighbours in a batch do never reaches it.
public interface LanguageModel extends AutoCloseable {
  /// V, the number of logits.
  int vocabSize();

  /// The state before the first token.
  ModelState initialState();

  /// Reads a run of tokens, as many at a time as the model finds fastest.
  ///
  /// @param ids at least one token id, each in `[0, V)`
  /// @param state where the sequence stands; read, never written
  /// @return logits after the last token, and the state there
  /// @throws IllegalArgumentException if `ids` is empty or has an id outside the vocabulary
  Prediction prefill(int[] ids, ModelState state);

  /// Advances several sequences by one token each; sequences may stand at different positions.
  ///
  /// @param ids one token id per sequence
  /// @param states one state per sequence; read, never written
  /// @return one prediction per sequence, in order
  /// @throws IllegalArgumentException if the counts differ or an id is outside the vocabulary
  List<Prediction> step(int[] ids, List<ModelState> states);

  /// Frees the weights. Closing twice is harmless.
  @Override
  void close();

  /// @param logits natural-log scores of the next token, V of them
  /// @param state the state after the tokens read so far
  record Prediction(float[] logits, ModelState state) {}
}
