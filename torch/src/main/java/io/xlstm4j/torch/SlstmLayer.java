package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CausalConv1dConfig;
import io.xlstm4j.core.config.LinearHeadwiseExpandConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.RecurrentWeightInit;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The sLSTM layer of the paper family (spec 1.3; paper figure 10).
///
/// The stored gate names are swapped, as in every official checkpoint: the module `fgate` feeds the
/// input gate and `igate` the forget gate. Kernel and bias are by slot and not swapped.
final class SlstmLayer {
  private final int numHeads;
  private final SlstmCell cell;
  private final @Nullable CausalConv1d conv1d;
  private final HeadwiseLinear inputGate;
  private final HeadwiseLinear forgetGate;
  private final HeadwiseLinear zgate;
  private final HeadwiseLinear ogate;
  private final Tensor recurrentKernel; // (NH, DHin, 4 DHout)
  private final Tensor bias; // (NH 4 DH), in order (head, gate, unit)
  private final Norms.MultiHeadLayerNorm groupNorm;
  private final Dropout dropout;
  private final Execution execution;

  SlstmLayer(
      Parameters.Prefix at,
      SlstmLayerConfig config,
      BlockStackConfig stack,
      int blockIndex,
      Execution execution) {
    int dim = stack.embeddingDim();
    numHeads = config.numHeads();
    int headDim = dim / numHeads;
    conv1d =
        config.conv1dKernelSize() == 0
            ? null
            : new CausalConv1d(
                at.at("conv1d.conv"), CausalConv1dConfig.of(dim, config.conv1dKernelSize()));
    var headwise = LinearHeadwiseExpandConfig.of(dim, numHeads, false);
    inputGate = HeadwiseLinear.create(at.at("fgate"), headwise, Init.small(dim)); // swapped
    forgetGate = HeadwiseLinear.create(at.at("igate"), headwise, Init.small(dim)); // swapped
    zgate = HeadwiseLinear.create(at.at("zgate"), headwise, Init.small(dim));
    ogate = HeadwiseLinear.create(at.at("ogate"), headwise, Init.small(dim));
    Init kernel =
        config.recurrentWeightInit() == RecurrentWeightInit.ZEROS
            ? Init.constant(0)
            : Init.uniform(1 / Math.sqrt((double) dim));
    var cellAt = at.at("slstm_cell");
    recurrentKernel =
        cellAt.create(SlstmKernelLayout.KERNEL, kernel, numHeads, headDim, 4L * headDim);
    bias =
        cellAt.create(
            SlstmKernelLayout.BIAS,
            Init.slstmBias(config.biasInit(), numHeads, headDim, blockIndex, stack.numBlocks()),
            4L * dim);
    groupNorm =
        config.groupNormWeight()
            ? Norms.MultiHeadLayerNorm.create(at.at("group_norm"), dim)
            : new Norms.MultiHeadLayerNorm(null);
    cell =
        new SlstmCell(
            config.function(),
            config.gradientRecurrentCut(),
            config.gradientRecurrentClipval(),
            config.forwardClipval());
    this.dropout = new Dropout(stack.dropout(), execution);
    this.execution = execution;
  }

  /// This layer, the norm before it and the feed-forward behind it as [FusedBlocks] takes them;
  /// null for a layer without a convolution or with a cell other than the paper's.
  ///
  /// @param feedForward its parameters, none if there is none
  FusedBlocks.@Nullable Parts parts(
      Parameters store, Tensor norm, List<Tensor> feedForward, int up) {
    if (conv1d == null
        || conv1d.taps() < 2
        || conv1d.bias() == null
        || !cell.equals(SlstmCell.PAPER)) {
      return null;
    }
    var all =
        new ArrayList<Tensor>(
            List.of(
                norm,
                conv1d.weight(),
                conv1d.bias(),
                inputGate.weight(),
                forgetGate.weight(),
                zgate.weight(),
                ogate.weight(),
                recurrentKernel,
                bias));
    if (groupNorm.weight() != null) {
      all.add(groupNorm.weight());
    }
    all.addAll(feedForward);
    return new FusedBlocks.Parts(
        store, all, numHeads, conv1d.taps(), up, 0, groupNorm.weight() != null);
  }

  /// What dropout multiplies the cell's output by; null for one.
  @Nullable Tensor dropoutFactor(Tensor x) {
    return dropout.factor(x);
  }

  /// @param x `(B, S, D)`, normed
  Block.Output forward(Tensor x, SlstmBlock.State last, SequenceLayout layout) {
    CausalConv1d.Output conv =
        conv1d == null
            ? new CausalConv1d.Output(x, last.conv()) // no SiLU either
            : execution.convSilu(conv1d, x, last.conv(), layout);
    Tensor xc = conv.y();
    Tensor in = execution.forProjection(x);
    Tensor wx = // (B, S, 4, NH, DH); what goes through an exponential is never rounded
        Ops.stackAll(
                List.of(
                    execution.headwise(inputGate, xc),
                    execution.headwise(forgetGate, xc),
                    execution.headwise(zgate, in).type_as(x),
                    execution.headwise(ogate, in).type_as(x)),
                2)
            .view(x.size(0), x.size(1), 4, numHeads, -1);
    long headDim = wx.size(-1);
    SlstmCell.Output y =
        execution.slstm(
            cell,
            wx,
            recurrentKernel.view(numHeads, headDim, 4, headDim),
            bias.view(numHeads, 4, headDim),
            last.cell(),
            layout);
    Tensor out = groupNorm.forward(dropout.forward(y.y().to(x.scalar_type())));
    return new Block.Output(out, new SlstmBlock.State(conv.tail(), y.state()));
  }

  SlstmBlock.State zeroState(long batch, Tensor like) {
    long headDim = recurrentKernel.size(1);
    long dim = numHeads * headDim;
    Tensor tail =
        conv1d == null ? Ops.zerosLike(like, batch, 0, dim) : conv1d.zeroTail(batch, like);
    return new SlstmBlock.State(tail, SlstmCell.State.zero(batch, numHeads, headDim, like));
  }
}
