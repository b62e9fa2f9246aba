package io.xlstm4j.torch;

import io.xlstm4j.core.config.LargeModelConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// The mLSTM layer of the Large family (docs/math.md 3.9): no convolution, no skip, soft-capped
/// gates.
///
/// ```
/// y = (sigmoid(o) * norm(mlstm(q, k, v, cap(i), cap(f)))) W_out
/// ```
final class LargeMlstmLayer {
  private final LargeModelConfig config;
  private final LargeProjections projections;
  private final LargeNorms.MultiHeadLayerNorm multiheadNorm;
  private final Linear outProj;
  private final ExecutionMode execution;

  LargeMlstmLayer(Parameters.Prefix at, LargeModelConfig config, ExecutionMode execution) {
    this.config = config;
    this.execution = execution;
    int dim = config.embeddingDim();
    projections = LargeProjections.create(at, config);
    multiheadNorm =
        LargeNorms.MultiHeadLayerNorm.create(at.at("multihead_norm"), config.vDim(), config);
    outProj =
        Linear.create(
            at.at("out_proj"),
            config.vDim(),
            dim,
            Init.wang(dim, config.numBlocks()),
            config.useBias() ? Init.constant(0) : null);
  }

  /// As [FusedLargeBlock] takes them: projections, gates and their biases, norm, output.
  List<List<Tensor>> weights() {
    var all = new ArrayList<>(projections.weights());
    all.add(List.of(multiheadNorm.weight()));
    all.add(List.of(outProj.weight()));
    return all;
  }

  /// @param x `(B, S, D)`, normed
  Block.Output forward(Tensor x, LargeBlock.State last, SequenceLayout layout) {
    LargeProjections.Projected p = projections.of(x, execution.forProjection(x));
    MlstmCell.Output cell =
        execution.mlstm(p.q(), p.k(), p.v(), capped(p.i()), capped(p.f()), last.cell(), layout);
    Tensor h = multiheadNorm.forward(cell.h().to(x.scalar_type())); // (B, S, NH DHV)
    Tensor y = outProj.forward(execution.forProjection(p.o().sigmoid().mul(h)));
    return new Block.Output(y, new LargeBlock.State(cell.state()));
  }

  private Tensor capped(Tensor gate) {
    return Ops.softCap(Ops.atLeastFloat32(gate), config.gateSoftCap());
  }

  LargeBlock.State zeroState(long batch, Tensor like) {
    return new LargeBlock.State(
        MlstmCell.State.zero(
            batch, config.numHeads(), config.qkHeadDim(), config.vHeadDim(), like));
  }
}
