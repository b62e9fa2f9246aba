package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;

/// A stack of residual blocks, `[m:s]` of mLSTM and sLSTM in the paper family (spec section 4),
/// with the state of every block going in and out.
public final class BlockStack {
  private final List<Block> blocks;
  private final UnaryOperator<Tensor> postBlocksNorm;
  private final Parameters parameters;
  private final ExecutionMode execution;
  private final int embeddingDim;

  /// Builds the stack with freshly initialised parameters under the prefix.
  public BlockStack(Parameters.Prefix at, BlockStackConfig config) {
    this(at, config, new ExecutionMode());
  }

  BlockStack(Parameters.Prefix at, BlockStackConfig config, ExecutionMode execution) {
    this.parameters = at.store();
    this.execution = execution;
    this.embeddingDim = config.embeddingDim();
    var built = new ArrayList<Block>();
    for (BlockConfig block : config.blocks()) {
      int index = built.size();
      built.add(Block.create(at.at("blocks." + index), block, config, index, execution));
    }
    blocks = List.copyOf(built);
    if (config.addPostBlocksNorm()) {
      var norm = Norms.LayerNorm.create(at.at("post_blocks_norm"), config.embeddingDim());
      postBlocksNorm = x -> execution.layerNorm(norm, x);
    } else {
      postBlocksNorm = x -> x;
    }
  }

  /// A stack of the Large family (docs/math.md 3.9).
  BlockStack(Parameters.Prefix at, LargeModelConfig config, ExecutionMode execution) {
    this.parameters = at.store();
    this.execution = execution;
    this.embeddingDim = config.embeddingDim();
    blocks =
        IntStream.range(0, config.numBlocks())
            .<Block>mapToObj(i -> new LargeBlock(at.at("blocks." + i), config, execution))
            .toList();
    postBlocksNorm =
        config.addOutNorm()
            ? LargeNorms.RmsNorm.create(at.at("out_norm"), embeddingDim, config)::forward
            : x -> x;
  }

  /// @param x `(B, S, D)`
  /// @param state after the last token
  public record Output(Tensor x, State state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>(state.tensors());
      tensors.add(x);
      return tensors;
    }
  }

  /// The states of all blocks, first to last.
  public record State(List<BlockState> blocks) implements Scopes.Tensors {
    public State {
      blocks = List.copyOf(blocks);
    }

    @Override
    public List<Tensor> tensors() {
      return blocks.stream().flatMap(block -> block.tensors().stream()).toList();
    }

    /// The same numbers, cut off from the graph that made them: what truncated back-propagation
    /// carries on.
    public State detached() {
      return new State(
          blocks.stream()
              .map(block -> block.with(block.tensors().stream().map(Tensor::detach).toList()))
              .toList());
    }
  }

  /// Chooses what computes the cells; [Backend#FUSED] at first.
  public void backend(Backend backend) {
    execution.backend(backend);
  }

  /// Returns whether dropout is on. Off at first.
  public void training(boolean on) {
    execution.training(on);
  }

  /// Chooses what projections are computed in; [Precision#FLOAT32] at first.
  public void precision(Precision precision) {
    execution.precision(precision);
  }

  /// Returns whether a block keeps only what entered it for the backward pass and is computed again
  /// there: less memory for more time, the same numbers. Off at first. Blocks that one fused kernel
  /// runs do without: it computes again what it can by itself.
  public void activationCheckpointing(boolean on) {
    execution.activationCheckpointing(on);
  }

  /// The state before the first token.
  public State initialState(long batch) {
    Tensor like =
        Ops.zerosOf(parameters, 1); // states live where, and as wide as, the parameters do
    return new State(blocks.stream().map(block -> block.zeroState(batch, like)).toList());
  }

  /// Runs a sequence of any length.
  ///
  /// @param x `(B, S, D)`
  /// @param last the state before the first token; read, never written
  public Output forward(Tensor x, State last, SequenceLayout layout) {
    Ops.expectShape("x", x, "(B, S, D)", -1, -1, embeddingDim);
    layout.check(x.size(0), x.size(1));
    execution.check(x);
    if (last.blocks.size() != blocks.size()) {
      throw new IllegalArgumentException(
          "the state is one of %d blocks, but this stack has %d"
              .formatted(last.blocks.size(), blocks.size()));
    }
    Tensor y = layout.padded(x, 1);
    var states = new ArrayList<BlockState>();
    for (int i = 0; i < blocks.size(); i++) {
      Block block = blocks.get(i);
      BlockState entering = last.blocks.get(i);
      Tensor input = y;
      Block.Output output =
          recomputes(block, input)
              ? ActivationCheckpointing.forward(
                  block, parameters, execution, input, entering, layout)
              : Scopes.scoped(() -> block.forward(input, entering, layout));
      y = output.x();
      states.add(output.state());
    }
    return new Output(postBlocksNorm.apply(y), new State(states));
  }

  private boolean recomputes(Block block, Tensor x) {
    return execution.activationCheckpointing()
        && HandWrittenBackward.isOn()
        && !block.isOneOperation(x);
  }
}
