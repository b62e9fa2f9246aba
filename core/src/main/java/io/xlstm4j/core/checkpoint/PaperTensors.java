package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import java.util.Map;

/// The tensors of a paper-family model (docs/math.md 5), under their official names.
///
/// @param stack its blocks
record PaperTensors(BlockStackConfig stack) {
  static final String EMBEDDING = "token_embedding.weight";
  static final String RECURRENT_KERNEL = "_recurrent_kernel_";
  private static final String HEAD = "lm_head.weight";
  private static final String STACK = "xlstm_block_stack.";

  /// Those of the blocks alone.
  ///
  /// @param to shape by name
  void addStackTo(Map<String, long[]> to) {
    long dim = stack.embeddingDim();
    int index = 0;
    for (BlockConfig block : stack.blocks()) {
      String at = STACK + "blocks." + index++ + ".";
      to.put(at + "xlstm_norm.weight", new long[] {dim});
      switch (block) {
        case MlstmBlockConfig mlstm -> addLayer(at + "xlstm.", mlstm.mlstm(), to);
        case SlstmBlockConfig slstm -> {
          addLayer(at + "xlstm.", slstm.slstm(), to);
          if (slstm.feedforward() != null) {
            addFeedForward(at, slstm.feedforward(), to);
          }
        }
      }
    }
    if (stack.addPostBlocksNorm()) {
      to.put(STACK + "post_blocks_norm.weight", new long[] {dim});
    }
  }

  /// @param to shape by name
  static void add(PaperModelConfig config, Map<String, long[]> to) {
    long dim = config.embeddingDim();
    new PaperTensors(config.blockStack()).addStackTo(to);
    to.put(EMBEDDING, new long[] {config.vocabSize(), dim});
    to.put(HEAD, new long[] {config.vocabSize(), dim});
  }

  /// Numbers of the state of one sequence.
  long stateCount() {
    long dim = stack.embeddingDim();
    long count = 0;
    for (BlockConfig block : stack.blocks()) {
      count +=
          switch (block) {
            case MlstmBlockConfig mlstm -> {
              MlstmLayerConfig layer = mlstm.mlstm();
              long inner = layer.innerDim(stack.embeddingDim());
              long headDim = inner / layer.numHeads();
              yield inner * tail(layer.conv1dKernelSize())
                  + layer.numHeads() * (headDim * headDim + headDim + 1);
            }
            case SlstmBlockConfig slstm ->
                dim * tail(slstm.slstm().conv1dKernelSize()) + 4 * dim; // y, c, n, m
          };
    }
    return count;
  }

  /// Inputs that a causal convolution remembers.
  private static long tail(int kernelSize) {
    return Math.max(0, kernelSize - 1);
  }

  private void addLayer(String at, MlstmLayerConfig layer, Map<String, long[]> to) {
    long dim = stack.embeddingDim();
    long inner = layer.innerDim(stack.embeddingDim());
    long heads = layer.numHeads();
    long block = layer.qkvProjBlocksize();
    boolean bias = stack.bias();
    to.put(at + "learnable_skip", new long[] {inner});
    add(at + "proj_up", bias, to, 2 * inner, dim);
    for (String projection : new String[] {"q_proj", "k_proj", "v_proj"}) {
      to.put(at + projection + ".weight", new long[] {inner / block, block, block});
      if (bias) {
        to.put(at + projection + ".bias", new long[] {inner});
      }
    }
    addConvolution(at, layer.conv1dKernelSize(), inner, to);
    add(at + "mlstm_cell.igate", true, to, heads, 3 * inner);
    add(at + "mlstm_cell.fgate", true, to, heads, 3 * inner);
    to.put(at + "mlstm_cell.outnorm.weight", new long[] {inner});
    add(at + "proj_down", bias, to, dim, inner);
  }

  private void addLayer(String at, SlstmLayerConfig layer, Map<String, long[]> to) {
    long dim = stack.embeddingDim();
    long heads = layer.numHeads();
    long headDim = dim / heads;
    addConvolution(at, layer.conv1dKernelSize(), dim, to);
    for (String gate : new String[] {"fgate", "igate", "zgate", "ogate"}) {
      to.put(at + gate + ".weight", new long[] {heads, headDim, headDim});
    }
    to.put(
        at + "slstm_cell." + RECURRENT_KERNEL,
        ModelTensors.recurrentKernel(layer.backend(), heads, headDim));
    to.put(at + "slstm_cell._bias_", new long[] {4 * dim});
    if (layer.groupNormWeight()) {
      to.put(at + "group_norm.weight", new long[] {dim});
    }
  }

  private void addFeedForward(String at, FeedForwardConfig ffn, Map<String, long[]> to) {
    long dim = stack.embeddingDim();
    long up = ffn.upDim(stack.embeddingDim());
    to.put(at + "ffn_norm.weight", new long[] {dim});
    add(at + "ffn.proj_up", ffn.bias(), to, 2 * up, dim);
    add(at + "ffn.proj_down", ffn.bias(), to, dim, up);
  }

  /// Depthwise; none of size 0.
  private static void addConvolution(
      String at, long kernelSize, long channels, Map<String, long[]> to) {
    if (kernelSize > 0) {
      to.put(at + "conv1d.conv.weight", new long[] {channels, 1, kernelSize});
      to.put(at + "conv1d.conv.bias", new long[] {channels});
    }
  }

  private static void add(String name, boolean bias, Map<String, long[]> to, long out, long in) {
    to.put(name + ".weight", new long[] {out, in});
    if (bias) {
      to.put(name + ".bias", new long[] {out});
    }
  }
}
