package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// `x + slstm(norm(x))`, then `x + ffn(norm(x))` where there is a feed-forward.
final class SlstmBlock implements Block {
  private final Norms.LayerNorm xlstmNorm;
  private final SlstmLayer xlstm;
  private final ExecutionMode execution;
  private final FusedBlocks.@Nullable Parts parts; // null if no kernel knows this kind of block
  private final @Nullable FeedForward feedForward;

  private record FeedForward(Norms.LayerNorm norm, GatedFeedForward ffn) {}

  SlstmBlock(
      Parameters.Prefix at,
      SlstmBlockConfig config,
      BlockStackConfig stack,
      int index,
      ExecutionMode execution) {
    int dim = stack.embeddingDim();
    this.execution = execution;
    xlstmNorm = Norms.LayerNorm.create(at.at("xlstm_norm"), dim);
    xlstm = new SlstmLayer(at.at("xlstm"), config.slstm(), stack, index, execution);
    FeedForwardConfig ffn = config.feedforward();
    feedForward =
        ffn == null
            ? null
            : new FeedForward(
                Norms.LayerNorm.create(at.at("ffn_norm"), dim),
                new GatedFeedForward(at.at("ffn"), ffn, dim, stack.numBlocks(), execution));
    parts = parts(at.store());
  }

  private FusedBlocks.@Nullable Parts parts(Parameters store) {
    if (feedForward == null) {
      return xlstm.parts(store, xlstmNorm.weight(), List.of(), 0);
    }
    List<Tensor> tail = feedForward.ffn.parts(feedForward.norm.weight());
    return tail.isEmpty()
        ? null
        : xlstm.parts(store, xlstmNorm.weight(), tail, feedForward.ffn.upDim());
  }

  /// @param conv the last K-1 inputs of the convolution `(B, K-1, D)`
  public record State(Tensor conv, SlstmCell.State cell) implements BlockState {
    @Override
    public List<Named> named() {
      return List.of(
          new Named("conv", conv),
          new Named("y", cell.y()),
          new Named("c", cell.c()),
          new Named("n", cell.n()),
          new Named("m", cell.m()));
    }

    @Override
    public State with(List<Tensor> t) {
      return new State(t.get(0), new SlstmCell.State(t.get(1), t.get(2), t.get(3), t.get(4)));
    }
  }

  @Override
  public Output forward(Tensor x, BlockState last, SequenceLayout layout) {
    if (!(last instanceof State state)) {
      throw Block.foreign("sLSTM", last);
    }
    if (parts != null && isOneOperation(x)) {
      return execution
          .blocks()
          .slstm(
              parts,
              layout.padded(x, 1),
              state,
              xlstm.dropoutFactor(x),
              feedForward == null ? null : feedForward.ffn.dropoutFactor(x),
              layout);
    }
    Output layer = xlstm.forward(execution.layerNorm(xlstmNorm, x), state, layout);
    Tensor y = x.add(layer.x());
    if (feedForward != null) {
      y = y.add(feedForward.ffn.forward(execution.layerNorm(feedForward.norm, y)));
    }
    return new Output(y, layer.state());
  }

  @Override
  public boolean isOneOperation(Tensor x) {
    return parts != null && execution.fuses(x);
  }

  @Override
  public State zeroState(long batch, Tensor like) {
    return xlstm.zeroState(batch, like);
  }
}
