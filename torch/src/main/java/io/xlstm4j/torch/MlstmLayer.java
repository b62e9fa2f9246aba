package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.silu;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.LinearHeadwiseExpandConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The mLSTM layer of the paper family (spec 3.2; paper figure 11).
///
/// I is the inner width, DH = I / NH the width of a head, for queries, keys and values alike.
final class MlstmLayer {
  private final int numHeads;
  private final Linear projUp;
  private final @Nullable CausalConv1d conv1d;
  private final HeadwiseLinear qProj;
  private final HeadwiseLinear kProj;
  private final HeadwiseLinear vProj;
  private final Linear igate;
  private final Linear fgate;
  private final Norms.MultiHeadLayerNorm outnorm;
  private final Tensor learnableSkip;
  private final Linear projDown;
  private final Dropout dropout;
  private final Execution execution;

  MlstmLayer(
      Parameters.Prefix at, MlstmLayerConfig config, BlockStackConfig stack, Execution execution) {
    int dim = stack.embeddingDim();
    int inner = config.innerDim(dim);
    numHeads = config.numHeads();
    Init bias = Init.constant(0);
    projUp =
        Linear.create(
            at.at("proj_up"), dim, 2L * inner, Init.small(dim), stack.bias() ? bias : null);
    conv1d =
        config.conv1dKernelSize() == 0
            ? null
            : new CausalConv1d(
                at.at("conv1d.conv"), CausalConv1dConfig.of(inner, config.conv1dKernelSize()));
    var headwise =
        LinearHeadwiseExpandConfig.of(inner, inner / config.qkvProjBlocksize(), stack.bias());
    qProj = HeadwiseLinear.create(at.at("q_proj"), headwise, Init.small(dim)); // D, not I
    kProj = HeadwiseLinear.create(at.at("k_proj"), headwise, Init.small(dim));
    vProj = HeadwiseLinear.create(at.at("v_proj"), headwise, Init.small(dim));
    var cell = at.at("mlstm_cell");
    igate =
        Linear.create(cell.at("igate"), 3L * inner, numHeads, Init.constant(0), Init.normal(0.1));
    fgate =
        Linear.create(
            cell.at("fgate"), 3L * inner, numHeads, Init.constant(0), Init.linspace(3, 6));
    outnorm = Norms.MultiHeadLayerNorm.create(cell.at("outnorm"), inner);
    learnableSkip = at.create("learnable_skip", Init.constant(1), inner);
    projDown =
        Linear.create(
            at.at("proj_down"),
            inner,
            dim,
            Init.wang(dim, stack.numBlocks()),
            stack.bias() ? bias : null);
    this.dropout = new Dropout(stack.dropout(), execution);
    this.execution = execution;
  }

  /// @param x `(B, S, D)`, normed
  Block.Output forward(Tensor x, MlstmBlock.State last, SequenceLayout layout) {
    Tensor both = projUp.forward(x); // (B, S, 2 I)
    long inner = both.size(-1) / 2;
    Tensor memory = both.narrow(-1, 0, inner);
    Tensor outputGate = both.narrow(-1, inner, inner);
    Tensor convolved = memory;
    Tensor tail = last.conv();
    if (conv1d != null) {
      CausalConv1d.Output conv = conv1d.forward(memory, tail, layout);
      convolved = conv.y();
      tail = conv.tail();
    }
    Tensor xc = silu(convolved); // (B, S, I)
    Tensor q = qProj.forward(xc);
    Tensor k = kProj.forward(xc);
    Tensor v = vProj.forward(memory);
    Tensor gates = Ops.concat(-1, q, k, v); // (B, S, 3 I), k unscaled
    MlstmCell.Output cell =
        execution.mlstm(
            Ops.atLeastFloat32(q),
            Ops.atLeastFloat32(k),
            Ops.atLeastFloat32(v),
            Ops.atLeastFloat32(igate.forward(gates)), // (B, S, NH)
            Ops.atLeastFloat32(fgate.forward(gates)),
            last.cell(),
            layout);
    Tensor h = outnorm.forward(cell.h().to(x.scalar_type())); // (B, S, I)
    Tensor y = h.add(learnableSkip.mul(xc)).mul(silu(outputGate));
    return new Block.Output(
        dropout.forward(projDown.forward(y)), new MlstmBlock.State(tail, cell.state()));
  }

  MlstmBlock.State zeroState(long batch, Tensor like) {
    long inner = learnableSkip.size(0);
    Tensor tail =
        conv1d == null ? Ops.zerosLike(like, batch, 0, inner) : conv1d.zeroTail(batch, like);
    long headDim = inner / numHeads;
    return new MlstmBlock.State(
        tail, MlstmCell.State.zero(batch, numHeads, headDim, headDim, like));
  }
}
