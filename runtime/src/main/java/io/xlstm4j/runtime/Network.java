package io.xlstm4j.runtime;

import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.PositionKernels.Norm;
import io.xlstm4j.kernels.WeightMatrix;
import java.util.ArrayList;
import java.util.List;

/// Embedding, blocks and head of a model over one workspace.
record Network(
    Workspace work,
    StateLayout layout,
    WeightMatrix embedding,
    List<RuntimeBlock> stack,
    Head head) {

  static Network of(ModelConfig config, Weights weights, Kernels kernels) {
    var work = new Workspace(kernels, weights.arena(), config.embeddingDim());
    return switch (config) {
      case PaperModelConfig paper -> paper(paper, weights, work);
      case LargeModelConfig large -> large(large, weights, work);
    };
  }

  private static Network paper(PaperModelConfig config, Weights weights, Workspace work) {
    var layout = new StateLayout();
    var stack = config.blockStack();
    int dim = stack.embeddingDim();
    var blocks = new ArrayList<RuntimeBlock>();
    for (BlockConfig block : stack.blocks()) {
      String at = "xlstm_block_stack.blocks." + blocks.size() + ".";
      String prefix = "blocks." + blocks.size() + ".";
      blocks.add(
          switch (block) {
            case MlstmBlockConfig mlstm ->
                new PaperMlstmBlock(work, weights, layout, at, prefix, mlstm.mlstm(), stack);
            case SlstmBlockConfig slstm ->
                new PaperSlstmBlock(work, weights, layout, at, prefix, slstm, dim);
          });
    }
    Norm norm =
        stack.addPostBlocksNorm()
            ? PaperNorms.of(1, dim, weights.onePlus("xlstm_block_stack.post_blocks_norm.weight"))
            : null;
    return new Network(
        work,
        layout,
        weights.matrix(ModelTensors.embedding(config)),
        blocks,
        new Head(work, weights.arena(), headMatrix(config, weights), norm, 0));
  }

  private static Network large(LargeModelConfig config, Weights weights, Workspace work) {
    var layout = new StateLayout();
    var blocks = new ArrayList<RuntimeBlock>();
    for (int i = 0; i < config.numBlocks(); i++) {
      blocks.add(
          new LargeBlock(
              work, weights, layout, "backbone.blocks." + i + ".", "blocks." + i + ".", config));
    }
    String outNorm = "backbone.out_norm.";
    Norm norm =
        config.addOutNorm()
            ? new Norm(
                1,
                config.embeddingDim(),
                false,
                (float) config.normEps(),
                weights.vector(outNorm + "weight"),
                weights.optional(outNorm + "bias"))
            : null;
    var head =
        new Head(
            work,
            weights.arena(),
            headMatrix(config, weights),
            norm,
            (float) config.outputLogitSoftCap());
    return new Network(work, layout, weights.matrix(ModelTensors.embedding(config)), blocks, head);
  }

  private static WeightMatrix headMatrix(ModelConfig config, Weights weights) {
    return weights.matrix(
        config.tiesWeights() ? ModelTensors.embedding(config) : ModelTensors.head());
  }

  /// The embeddings of `count` ids become the residual stream of a batch.
  void embed(int[] ids, int from, int count) {
    for (int i = 0; i < count; i++) {
      work.storedLinear.lookUp(embedding, ids[from + i], work.x, i);
    }
  }

  void blocks() {
    for (int i = 0; i < stack.size(); i++) { // no iterator: nothing is allocated per token
      stack.get(i).forward();
    }
  }
}
