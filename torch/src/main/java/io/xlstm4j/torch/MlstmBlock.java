package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// `x + mlstm(norm(x))`.
final class MlstmBlock implements Block {
  private final Norms.LayerNorm xlstmNorm;
  private final MlstmLayer xlstm;
  private final ExecutionMode execution;
  private final FusedBlocks.@Nullable Parts parts; // null if no kernel knows this kind of block

  MlstmBlock(
      Parameters.Prefix at,
      MlstmBlockConfig config,
      BlockStackConfig stack,
      ExecutionMode execution) {
    this.execution = execution;
    xlstmNorm = Norms.LayerNorm.create(at.at("xlstm_norm"), stack.embeddingDim());
    xlstm = new MlstmLayer(at.at("xlstm"), config.mlstm(), stack, execution);
    parts = xlstm.parts(at.store(), xlstmNorm.weight());
  }

  /// @param conv the last K-1 inputs of the convolution `(B, K-1, I)`
  public record State(Tensor conv, MlstmCell.State cell) implements BlockState {
    @Override
    public List<Named> named() {
      return List.of(
          new Named("conv", conv),
          new Named("c", cell.c()),
          new Named("n", cell.n()),
          new Named("m", cell.m()));
    }

    @Override
    public State with(List<Tensor> t) {
      return new State(t.get(0), new MlstmCell.State(t.get(1), t.get(2), t.get(3)));
    }
  }

  @Override
  public Output forward(Tensor x, BlockState last, SequenceLayout layout) {
    if (!(last instanceof State state)) {
      throw Block.foreign("mLSTM", last);
    }
    if (parts != null && isOneOperation(x)) {
      Tensor entering = layout.padded(x, 1);
      return execution.blocks().mlstm(parts, entering, state, xlstm.dropoutFactor(x), layout);
    }
    Output layer = xlstm.forward(execution.layerNorm(xlstmNorm, x), state, layout);
    return new Output(x.add(layer.x()), layer.state());
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
