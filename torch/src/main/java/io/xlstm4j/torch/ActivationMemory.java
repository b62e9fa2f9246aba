package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.block.LargeBlockKernel;
import io.xlstm4j.kernels.block.MlstmBlockKernel;
import io.xlstm4j.kernels.block.SlstmBlockKernel;

/// Estimates the memory that the forward and backward pass of one micro-batch take beside weights
/// and gradients. Nothing is allocated for it.
///
/// @param sequences of the micro-batch
/// @param length S, positions of each
/// @param fused whether our kernels compute the blocks, on the CPU in float32; else libtorch does
/// @param checkpointed whether only the input of a block is kept, where libtorch computes it
public record ActivationMemory(int sequences, int length, boolean fused, boolean checkpointed) {
  /// The memory that libtorch's graph of small operations keeps for a block, as a multiple of the
  /// fused block's. Measured with two blocks of width 64: 3 for mLSTM blocks, less for sLSTM
  /// blocks.
  private static final double GRAPH = 3;

  private static final float EPSILON = 1e-5f; // any: it changes no size

  /// Bytes kept from the forward to the backward pass by one block, and its scratch.
  private record Block(long kept, long scratch) {}

  private long positions() {
    return (long) sequences * length;
  }

  /// Bytes for a language model, its head included.
  public long of(ModelConfig model) {
    long head =
        positions()
            * Float.BYTES
            * (3L * model.embeddingDim() + (fused ? 0 : 3L * model.vocabSize()));
    return head
        + switch (model) {
          case PaperModelConfig paper -> of(paper.blockStack());
          case LargeModelConfig large -> sum(large.numBlocks(), large.embeddingDim(), large(large));
        };
  }

  /// Bytes for a stack of blocks of the paper family.
  public long of(BlockStackConfig stack) {
    long kept = 0;
    long largest = 0;
    for (BlockConfig config : stack.blocks()) {
      Block block =
          switch (config) {
            case MlstmBlockConfig mlstm -> mlstm(mlstm, stack.embeddingDim());
            case SlstmBlockConfig slstm -> slstm(slstm, stack.embeddingDim());
          };
      kept += kept(block, stack.embeddingDim());
      largest = Math.max(largest, peak(block));
    }
    return kept + largest;
  }

  private long sum(int blocks, int width, Block block) {
    return blocks * kept(block, width) + peak(block);
  }

  /// Returns the bytes that a block keeps until its backward pass: its output and saved
  /// activations.
  private long kept(Block block, int width) {
    long output = positions() * width * Float.BYTES;
    if (fused) {
      return output + block.kept;
    }
    return checkpointed ? output : output + (long) (GRAPH * block.kept);
  }

  private long peak(Block block) {
    return fused ? block.scratch : checkpointed ? (long) (GRAPH * block.kept) : block.scratch;
  }

  private Block mlstm(MlstmBlockConfig config, int width) {
    int inner = config.mlstm().innerDim(width);
    int heads = config.mlstm().numHeads();
    var size =
        new MlstmBlockKernel.Size(
            sequences,
            length,
            width,
            inner,
            heads,
            config.mlstm().conv1dKernelSize(),
            config.mlstm().qkvProjBlocksize(),
            EPSILON);
    MlstmBlockKernel kernel = new MlstmBlockKernel(Kernels.shared());
    long state = 2L * sequences * inner * (inner / heads + 1) * Float.BYTES; // in and out
    return new Block(
        kernel.savedBytes(size) + state,
        Math.max(kernel.forwardScratchBytes(size), kernel.backwardScratchBytes(size, true)));
  }

  private Block slstm(SlstmBlockConfig config, int width) {
    FeedForwardConfig feedForward = config.feedforward();
    var size =
        new SlstmBlockKernel.Size(
            sequences,
            length,
            width,
            config.slstm().numHeads(),
            config.slstm().conv1dKernelSize(),
            feedForward == null ? 0 : feedForward.upDim(width),
            EPSILON);
    SlstmBlockKernel kernel = new SlstmBlockKernel(Kernels.shared());
    return new Block(
        kernel.savedBytes(size),
        Math.max(kernel.forwardScratchBytes(size), kernel.backwardScratchBytes(size, true)));
  }

  private Block large(LargeModelConfig config) {
    var size =
        new LargeBlockKernel.Size(
            sequences,
            length,
            config.embeddingDim(),
            config.qkDim(),
            config.vDim(),
            config.numHeads(),
            config.ffnDim(),
            (float) config.gateSoftCap(),
            (float) config.normEps());
    LargeBlockKernel kernel = new LargeBlockKernel(Kernels.shared());
    long state = 2L * sequences * config.qkDim() * (config.vHeadDim() + 1) * Float.BYTES;
    return new Block(
        kernel.savedBytes(size) + state,
        Math.max(kernel.forwardScratchBytes(size), kernel.backwardScratchBytes(size)));
  }
}
