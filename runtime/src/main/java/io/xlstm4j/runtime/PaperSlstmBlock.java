package io.xlstm4j.runtime;

import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// `x + slstm(norm(x))`, then `x + ffn(norm(x))` where there is a feed-forward, of the paper family
/// (docs/math.md 1.3 and 3.3).
final class PaperSlstmBlock implements RuntimeBlock {
  private final Workspace work;
  private final @Nullable Convolution convolution;
  private final SlstmCell cell;
  private final Workspace.Slice before;
  private final Workspace.Slice after;
  private final @Nullable FeedForward feedForward;

  private record FeedForward(
      Workspace.Slice before, Part[] up, Workspace.Slice activate, Part[] down) {}

  PaperSlstmBlock(
      Workspace work,
      Weights weights,
      StateLayout layout,
      String at,
      String statePrefix,
      SlstmBlockConfig config,
      int dim) {
    this.work = work;
    SlstmLayerConfig slstm = config.slstm();
    int heads = slstm.numHeads();
    String layer = at + "xlstm.";
    PositionKernels rows = work.kernels.positions();
    MemoryMatrix normed = work.buffer("normed", dim);
    MemoryMatrix h = work.buffer("h", dim);

    var norm = PaperNorms.of(1, dim, weights.onePlus(at + "xlstm_norm.weight"));
    before = (first, end) -> rows.normalize(first, end, norm, work.x, normed);

    int kernelSize = slstm.conv1dKernelSize();
    MemoryMatrix xc = kernelSize == 0 ? normed : work.buffer("xc", dim);
    convolution =
        kernelSize == 0
            ? null
            : new Convolution(
                work, weights, layout, layer + "conv1d.conv", statePrefix, kernelSize, normed, xc);
    if (kernelSize == 0) {
      layout.add(statePrefix + "conv", 0, dim);
    }
    cell = new SlstmCell(work, weights, layout, layer, statePrefix, slstm, dim, normed, xc, h);

    MemorySegment scale =
        slstm.groupNormWeight() ? weights.onePlus(layer + "group_norm.weight") : null;
    var groupNorm = PaperNorms.of(heads, dim / heads, scale);
    float[] ones = new float[dim];
    java.util.Arrays.fill(ones, 1);
    MemorySegment one = weights.copy(ones);
    after =
        (first, end) -> {
          rows.normalize(first, end, groupNorm, h, h);
          rows.addScaled(first, end, dim, one, h, work.x);
        };
    feedForward =
        config.feedforward() == null
            ? null
            : feedForward(work, weights, at, config.feedforward(), dim, normed);
  }

  private static FeedForward feedForward(
      Workspace work,
      Weights weights,
      String at,
      FeedForwardConfig config,
      int dim,
      MemoryMatrix normed) {
    int up = config.upDim(dim);
    PositionKernels rows = work.kernels.positions();
    MemoryMatrix both = work.buffer("ffn", 2 * up);
    var norm = PaperNorms.of(1, dim, weights.onePlus(at + "ffn_norm.weight"));
    Activation activation = activation(config.actFn());
    MemoryMatrix upHalf = both.from(up);
    return new FeedForward(
        (first, end) -> rows.normalize(first, end, norm, work.x, normed),
        new Part[] {
          new Part(
              weights.matrix(at + "ffn.proj_up.weight"),
              weights.optional(at + "ffn.proj_up.bias"),
              normed,
              both,
              false)
        },
        (first, end) -> rows.gate(first, end, up, activation, both, upHalf, both),
        new Part[] {
          new Part(
              weights.matrix(at + "ffn.proj_down.weight"),
              weights.optional(at + "ffn.proj_down.bias"),
              both,
              work.x,
              true)
        });
  }

  private static Activation activation(FeedForwardConfig.Activation activation) {
    return switch (activation) {
      case GELU -> Activation.GELU;
      case RELU -> Activation.RELU;
      case RELU_SQUARED -> Activation.RELU_SQUARED;
      case SIGMOID -> Activation.SIGMOID;
      case SWISH -> Activation.SWISH;
      case SELU -> Activation.SELU;
    };
  }

  @Override
  public void forward() {
    work.each(before);
    if (convolution != null) {
      convolution.forward();
    }
    cell.forward();
    work.each(after);
    if (feedForward != null) {
      work.each(feedForward.before);
      work.project(feedForward.up);
      work.each(feedForward.activate);
      work.project(feedForward.down);
    }
  }

  /// Matrix products of one input with the heads' blocks.
  static List<Part> blocks(
      Weights weights,
      float[] values,
      int heads,
      int out,
      int in,
      @Nullable MemorySegment bias,
      MemoryMatrix x,
      MemoryMatrix y,
      boolean add) {
    var parts = new ArrayList<Part>();
    for (int head = 0; head < heads; head++) {
      float[] block = java.util.Arrays.copyOfRange(values, head * out * in, (head + 1) * out * in);
      parts.add(
          new Part(
              weights.matrix(block, out, in),
              bias == null ? null : MlstmCell.slice(bias, (long) head * out, out),
              x.from(head * in),
              y.from(head * out),
              add));
    }
    return parts;
  }
}
