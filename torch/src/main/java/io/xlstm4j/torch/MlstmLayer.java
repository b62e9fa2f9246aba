package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.silu;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.LinearHeadwiseExpandConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The mLSTM layer of the paper family (docs/math.md 3.2; paper figure 11).
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
  private final ExecutionMode execution;

  MlstmLayer(
      Parameters.Prefix at,
      MlstmLayerConfig config,
      BlockStackConfig stack,
      ExecutionMode execution) {
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

  /// Returns this layer and the norm before it as [FusedBlocks] takes them; null for a layer with
  /// biases or without a convolution.
  FusedBlocks.@Nullable Parts parts(Parameters store, Tensor norm) {
    if (conv1d == null
        || conv1d.kernelSize() < 2
        || conv1d.bias() == null
        || projUp.bias() != null
        || qProj.bias() != null
        || outnorm.weight() == null) {
      return null;
    }
    return new FusedBlocks.Parts(
        store,
        List.of(
            norm,
            projUp.weight(),
            conv1d.weight(),
            conv1d.bias(),
            qProj.weight(),
            kProj.weight(),
            vProj.weight(),
            igate.weight(),
            Ops.present(igate.bias()),
            fgate.weight(),
            Ops.present(fgate.bias()),
            outnorm.weight(),
            learnableSkip,
            projDown.weight()),
        numHeads,
        conv1d.kernelSize(),
        0,
        (int) qProj.weight().size(1),
        true);
  }

  /// Returns the factor of dropout on the layer's output; null for one.
  @Nullable Tensor dropoutFactor(Tensor x) {
    return dropout.factor(x);
  }

  /// @param x `(B, S, D)`, normed
  Block.Output forward(Tensor x, MlstmBlock.State last, SequenceLayout layout) {
    long inner = learnableSkip.size(0);
    Tensor in = execution.forProjection(x);
    Tensor memory = projUp.forwardPart(in, 0, inner); // (B, S, I)
    Tensor outputGate = projUp.forwardPart(in, inner, inner);
    CausalConv1d.Output conv =
        conv1d == null
            ? new CausalConv1d.Output(silu(memory), last.conv())
            : execution.convSilu(conv1d, memory.type_as(x), last.conv(), layout);
    Tensor xc = conv.y(); // (B, S, I)
    Tensor qk = execution.forProjection(xc);
    Tensor q = execution.headwise(qProj, qk);
    Tensor k = execution.headwise(kProj, qk);
    Tensor v = execution.headwise(vProj, memory);
    Tensor gates = gates(q, k, v); // (B, S, 2 NH), k unscaled
    MlstmCell.Output cell =
        execution.mlstm(
            q,
            k,
            v,
            gates.narrow(2, 0, numHeads), // (B, S, NH)
            gates.narrow(2, numHeads, numHeads),
            last.cell(),
            layout);
    Tensor h = cell.h().to(x.scalar_type()); // (B, S, NH, DH)
    Tensor y = execution.gatedHeadNorm(outnorm, h, learnableSkip, xc, outputGate);
    return new Block.Output(
        dropout.forward(projDown.forward(execution.forProjection(y))),
        new MlstmBlock.State(conv.tail(), cell.state()));
  }

  /// Input and forget gates of all heads from `[q | k | v]`, which is never put together: each part
  /// meets its columns of the weights, in their type.
  private Tensor gates(Tensor q, Tensor k, Tensor v) {
    long inner = q.size(-1);
    Tensor weights = Ops.concat(0, igate.weight(), fgate.weight()); // (2 NH, 3 I)
    Tensor biases = Ops.concat(0, Ops.present(igate.bias()), Ops.present(fgate.bias()));
    return Ops.project(q.type_as(weights), weights.narrow(1, 0, inner), biases)
        .add(Ops.project(k.type_as(weights), weights.narrow(1, inner, inner), null))
        .add(Ops.project(v.type_as(weights), weights.narrow(1, 2 * inner, inner), null));
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
