package io.xlstm4j.core.config;

/// The configuration of a model, as `config.json` holds it: one of the model families.
public sealed interface ModelConfig permits PaperModelConfig, LargeModelConfig {
  /// The value of `model_type` in `config.json`.
  String modelType();

  /// V, the number of rows of the embedding and of the logits.
  int vocabSize();

  /// D, the width of the residual stream.
  int embeddingDim();

  /// Returns the number of residual blocks.
  int numBlocks();

  /// Tokens of a row in training and evaluation; sizes nothing in the model.
  int contextLength();

  /// Returns whether the head shares the embedding matrix.
  boolean tiesWeights();
}
