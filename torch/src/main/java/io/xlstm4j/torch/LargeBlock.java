package io.xlstm4j.torch;

import io.xlstm4j.core.config.LargeModelConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// A block of the Large family: `x + mlstm(norm(x))`, then `x + ffn(norm(x))` (docs/math.md 3.9).
final class LargeBlock implements Block {
  private final LargeNorms.RmsNorm normMlstm;
  private final LargeMlstmLayer mlstmLayer;
  private final LargeNorms.RmsNorm normFfn;
  private final SwiGlu ffn;
  private final ExecutionMode execution;
  private final @Nullable FusedLargeBlock fused; // null if there are biases but the gates'

  LargeBlock(Parameters.Prefix at, LargeModelConfig config, ExecutionMode execution) {
    this.execution = execution;
    int dim = config.embeddingDim();
    normMlstm = LargeNorms.RmsNorm.create(at.at("norm_mlstm"), dim, config);
    mlstmLayer = new LargeMlstmLayer(at.at("mlstm_layer"), config, execution);
    normFfn = LargeNorms.RmsNorm.create(at.at("norm_ffn"), dim, config);
    ffn = new SwiGlu(at.at("ffn"), config);
    fused = config.useBias() ? null : new FusedLargeBlock(at.store(), weights(), config);
  }

  /// As [FusedLargeBlock] takes them.
  private List<List<Tensor>> weights() {
    var all = new ArrayList<List<Tensor>>();
    all.add(List.of(normMlstm.weight()));
    all.addAll(mlstmLayer.weights());
    all.add(List.of(normFfn.weight()));
    all.addAll(ffn.weights());
    return all;
  }

  /// There is no convolution to remember.
  public record State(MlstmCell.State cell) implements BlockState {
    @Override
    public List<Named> named() {
      return List.of(new Named("c", cell.c()), new Named("n", cell.n()), new Named("m", cell.m()));
    }

    @Override
    public State with(List<Tensor> t) {
      return new State(new MlstmCell.State(t.get(0), t.get(1), t.get(2)));
    }
  }

  @Override
  public Output forward(Tensor x, BlockState last, SequenceLayout layout) {
    if (!(last instanceof State state)) {
      throw Block.foreign("xLSTM Large", last);
    }
    if (fused != null && isOneOperation(x)) {
      return fused.forward(x, state, layout);
    }
    Output layer = mlstmLayer.forward(normMlstm.forward(x), state, layout);
    Tensor y = x.add(layer.x());
    return new Output(
        y.add(ffn.forward(execution.forProjection(normFfn.forward(y)))), layer.state());
  }

  @Override
  public boolean isOneOperation(Tensor x) {
    return fused != null && execution.fuses(x) && execution.fuses(normMlstm.weight());
  }

  @Override
  public State zeroState(long batch, Tensor like) {
    return mlstmLayer.zeroState(batch, like);
  }
}
