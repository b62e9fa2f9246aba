package io.xlstm4j.bench;

import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import org.jspecify.annotations.Nullable;

/// The arithmetic of a model, whatever form computes it: the multiply-adds of its matrix products,
/// its convolutions, and its cells in their recurrent form. What is done once per element (norms,
/// activations, gates, softmax, optimizer) is not counted.
final class Arithmetic {
  /// Two operations in a multiply-add; one pass forward and two of its size backward.
  private static final int TRAINING_FLOP_PER_MULTIPLY_ADD = 2 * 3;

  private Arithmetic() {}

  /// Floating-point operations of one training step for each token.
  static long trainingFlopPerToken(PaperModelConfig config) {
    return TRAINING_FLOP_PER_MULTIPLY_ADD * multiplyAddsPerToken(config);
  }

  /// Multiply-adds of the forward pass for each token.
  static long multiplyAddsPerToken(PaperModelConfig config) {
    long dim = config.embeddingDim();
    long sum = dim * config.vocabSize(); // the head
    BlockStackConfig stack = config.blockStack();
    for (BlockConfig block : stack.blocks()) {
      sum +=
          switch (block) {
            case MlstmBlockConfig mlstm -> mlstm(mlstm.mlstm(), dim);
            case SlstmBlockConfig slstm -> slstm(slstm, dim);
          };
    }
    return sum;
  }

  private static long mlstm(MlstmLayerConfig layer, long dim) {
    long inner = layer.innerDim((int) dim);
    long heads = layer.numHeads();
    long projections = 2 * inner * dim + inner * dim; // up to both branches, down
    long conv = inner * layer.conv1dKernelSize();
    long qkv = 3 * inner * layer.qkvProjBlocksize();
    long gates = 2 * 3 * inner * heads; // each reads q, k and v
    long cell = 2 * inner * (inner / heads); // C += k vᵀ and Cᵀ q, for each head DH²
    return projections + conv + qkv + gates + cell;
  }

  private static long slstm(SlstmBlockConfig block, long dim) {
    long headDim = dim / block.slstm().numHeads();
    long conv = dim * block.slstm().conv1dKernelSize();
    long gates = 4 * dim * headDim;
    long recurrence = 4 * dim * headDim;
    @Nullable FeedForwardConfig feedForward = block.feedforward();
    long up = feedForward == null ? 0 : feedForward.upDim((int) dim);
    return conv + gates + recurrence + 3 * up * dim;
  }
}
