package io.xlstm4j.runtime;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.WeightMatrix;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// `x + mlstm(norm(x))` of the paper family (docs/math.md 3.2).
final class PaperMlstmBlock implements RuntimeBlock {
  private final Workspace work;
  private final Part[] up;
  private final @Nullable Convolution convolution;
  private final MlstmCell cell;
  private final Part[] gates;
  private final Part[] down;
  private final Workspace.Slice before;
  private final Workspace.Slice project;
  private final Workspace.Slice after;

  /// @param at name of the block, with a dot at its end
  /// @param statePrefix the same in a state
  PaperMlstmBlock(
      Workspace work,
      Weights weights,
      StateLayout layout,
      String at,
      String statePrefix,
      MlstmLayerConfig config,
      BlockStackConfig stack) {
    this.work = work;
    int dim = stack.embeddingDim();
    int inner = config.innerDim(dim);
    int heads = config.numHeads();
    String layer = at + "xlstm.";
    PositionKernels rows = work.kernels.positions();

    MemoryMatrix normed = work.buffer("normed", dim);
    MemoryMatrix memory = work.buffer("memory", inner);
    MemoryMatrix z = work.buffer("z", inner);
    MemoryMatrix xc = work.buffer("xc", inner);
    MemoryMatrix qkv = work.buffer("qkv", 3 * inner);
    MemoryMatrix gate = work.buffer("gates", 2 * heads);
    MemoryMatrix h = work.buffer("h", inner);

    var norm = PaperNorms.of(1, dim, weights.onePlus(at + "xlstm_norm.weight"));
    before = (first, end) -> rows.normalize(first, end, norm, work.x, normed);

    WeightMatrix both = weights.matrix(layer + "proj_up.weight");
    MemorySegment bias = weights.optional(layer + "proj_up.bias");
    up =
        new Part[] {
          new Part(both.rows(0, inner), part(bias, 0, inner), normed, memory, false),
          new Part(both.rows(inner, inner), part(bias, inner, inner), normed, z, false)
        };

    int kernelSize = config.conv1dKernelSize();
    convolution =
        kernelSize == 0
            ? null
            : new Convolution(
                work, weights, layout, layer + "conv1d.conv", statePrefix, kernelSize, memory, xc);
    if (kernelSize == 0) {
      layout.add(statePrefix + "conv", 0, inner);
    }
    MemorySegment ones = ones(weights, inner);
    MemoryMatrix onesRow = new MemoryMatrix(ones, 0, 0);
    var q = headwise(weights, layer + "q_proj", config, inner);
    var k = headwise(weights, layer + "k_proj", config, inner);
    var v = headwise(weights, layer + "v_proj", config, inner);
    MemoryMatrix keys = qkv.from(inner);
    MemoryMatrix values = qkv.from(2 * inner);
    project =
        (first, end) -> {
          if (kernelSize == 0) {
            rows.gate(first, end, inner, Activation.SWISH, memory, onesRow, xc);
          }
          rows.headwise(first, end, q, xc, qkv);
          rows.headwise(first, end, k, xc, keys);
          rows.headwise(first, end, v, memory, values);
        };

    String cellName = layer + "mlstm_cell.";
    gates =
        new Part[] {
          new Part(
              weights.matrix(cellName + "igate.weight"),
              weights.vector(cellName + "igate.bias"),
              qkv,
              gate,
              false),
          new Part(
              weights.matrix(cellName + "fgate.weight"),
              weights.vector(cellName + "fgate.bias"),
              qkv,
              gate.from(heads),
              false)
        };
    cell =
        new MlstmCell(
            work,
            layout,
            statePrefix,
            new TokenKernels.Mlstm(heads, inner / heads, inner / heads, MlstmKernel.EPS),
            new TokenKernels.MlstmOperands(
                qkv, qkv.from(inner), qkv.from(2 * inner), gate, gate.from(heads), h));

    var headNorm =
        PaperNorms.of(heads, inner / heads, weights.onePlus(cellName + "outnorm.weight"));
    MemorySegment skip = weights.vector(layer + "learnable_skip");
    after =
        (first, end) -> {
          rows.normalize(first, end, headNorm, h, h);
          rows.addScaled(first, end, inner, skip, xc, h);
          rows.gate(first, end, inner, Activation.SWISH, z, h, h);
        };
    down =
        new Part[] {
          new Part(
              weights.matrix(layer + "proj_down.weight"),
              weights.optional(layer + "proj_down.bias"),
              h,
              work.x,
              true)
        };
  }

  @Override
  public void forward() {
    work.each(before);
    work.project(up);
    if (convolution != null) {
      convolution.forward();
    }
    work.each(project);
    work.project(gates);
    cell.forward();
    work.each(after);
    work.project(down);
  }

  private static @Nullable MemorySegment part(@Nullable MemorySegment bias, int from, int count) {
    return bias == null ? null : MlstmCell.slice(bias, from, count);
  }

  private static MemorySegment ones(Weights weights, int count) {
    float[] ones = new float[count];
    java.util.Arrays.fill(ones, 1);
    return weights.copy(ones);
  }

  /// Stored `(blocks, out, in)`; the kernel reads by input.
  private static PositionKernels.Headwise headwise(
      Weights weights, String name, MlstmLayerConfig config, int width) {
    int block = config.qkvProjBlocksize();
    float[] stored = weights.floats(name + ".weight");
    float[] byInput = new float[stored.length];
    for (int o = 0; o < width; o++) {
      for (int j = 0; j < block; j++) {
        byInput[j * width + o] = stored[o * block + j];
      }
    }
    return new PositionKernels.Headwise(
        width, block, weights.copy(byInput), weights.optional(name + ".bias"));
  }
}
