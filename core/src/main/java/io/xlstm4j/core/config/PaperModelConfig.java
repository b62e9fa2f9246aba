package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// A language model of the paper family: embedding, `[m:s]` block stack, head (spec section 4).
///
/// In files its keys and those of the stack stand side by side, as in the official `config.yaml`.
///
/// @param vocabSize V
/// @param blockStack the blocks between embedding and head
/// @param tieWeights whether the head shares the embedding matrix; default false
/// @param weightDecayOnEmbedding whether the optimizer decays the embedding; default false
/// @param addEmbeddingDropout whether the stack's dropout also follows the embedding; default false
public record PaperModelConfig(
    int vocabSize,
    BlockStackConfig blockStack,
    boolean tieWeights,
    boolean weightDecayOnEmbedding,
    boolean addEmbeddingDropout)
    implements ModelConfig {
  public static final String MODEL_TYPE = "xlstm_paper";

  public PaperModelConfig {
    Check.positive("vocabSize", vocabSize);
    Check.fitsArray(
        "vocabSize", vocabSize, "embeddingDim", blockStack.embeddingDim(), "embedding matrix");
  }

  /// A model with every other choice at its default.
  public static PaperModelConfig of(int vocabSize, BlockStackConfig blockStack) {
    return new PaperModelConfig(vocabSize, blockStack, false, false, false);
  }

  public PaperModelConfig withVocabSize(int newVocabSize) {
    return new PaperModelConfig(
        newVocabSize, blockStack, tieWeights, weightDecayOnEmbedding, addEmbeddingDropout);
  }

  /// With the recurrent kernels stored in another layout; itself if it has no sLSTM blocks.
  public PaperModelConfig withKernelLayout(SlstmLayerConfig.Backend layout) {
    SlstmBlockConfig block = blockStack.slstmBlock();
    if (block == null) {
      return this;
    }
    var stack =
        new BlockStackConfig(
            blockStack.numBlocks(),
            blockStack.embeddingDim(),
            blockStack.contextLength(),
            blockStack.slstmAt(),
            blockStack.mlstmBlock(),
            new SlstmBlockConfig(block.slstm().withBackend(layout), block.feedforward()),
            blockStack.addPostBlocksNorm(),
            blockStack.bias(),
            blockStack.dropout());
    return new PaperModelConfig(
        vocabSize, stack, tieWeights, weightDecayOnEmbedding, addEmbeddingDropout);
  }

  @Override
  public String modelType() {
    return MODEL_TYPE;
  }

  @Override
  public int embeddingDim() {
    return blockStack.embeddingDim();
  }

  @Override
  public int numBlocks() {
    return blockStack.numBlocks();
  }

  @Override
  public int contextLength() {
    return blockStack.contextLength();
  }

  @Override
  public boolean tiesWeights() {
    return tieWeights;
  }

  public PaperModelConfig withBlockStack(BlockStackConfig value) {
    return RecordComponents.with(this, "blockStack", value);
  }

  public PaperModelConfig withTieWeights(boolean value) {
    return RecordComponents.with(this, "tieWeights", value);
  }

  public PaperModelConfig withWeightDecayOnEmbedding(boolean value) {
    return RecordComponents.with(this, "weightDecayOnEmbedding", value);
  }

  public PaperModelConfig withAddEmbeddingDropout(boolean value) {
    return RecordComponents.with(this, "addEmbeddingDropout", value);
  }
}
