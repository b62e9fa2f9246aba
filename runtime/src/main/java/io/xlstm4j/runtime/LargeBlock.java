package io.xlstm4j.runtime;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.PositionKernels.Norm;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.TokenKernels;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// `x + mlstm(norm(x))`, then `x + ffn(norm(x))` of the Large family (docs/math.md 3.9).
final class LargeBlock implements RuntimeBlock {
  private final Workspace work;
  private final Weights weights;
  private final LargeModelConfig config;
  private final MlstmCell cell;
  private final Part[] project;
  private final Part[] out;
  private final Part[] up;
  private final Part[] down;
  private final Workspace.Slice before;
  private final Workspace.Slice cap;
  private final Workspace.Slice after;
  private final Workspace.Slice beforeFfn;
  private final Workspace.Slice activate;

  LargeBlock(
      Workspace work,
      Weights weights,
      StateLayout layout,
      String at,
      String statePrefix,
      LargeModelConfig config) {
    this.work = work;
    this.weights = weights;
    this.config = config;
    int dim = config.embeddingDim();
    int qk = config.qkDim();
    int vd = config.vDim();
    int heads = config.numHeads();
    int ffn = config.ffnDim();
    String layer = at + "mlstm_layer.";
    PositionKernels rows = work.kernels.positions();

    MemoryMatrix normed = work.buffer("normed", dim);
    MemoryMatrix qkvo = work.buffer("qkvo", 2 * qk + 2 * vd); // q, k, v, o
    MemoryMatrix gates = work.buffer("gates", 2 * heads);
    MemoryMatrix h = work.buffer("h", vd);
    MemoryMatrix both = work.buffer("ffn", 2 * ffn);

    Norm norm = norm(at + "norm_mlstm", 1, dim, false);
    before = (first, end) -> rows.normalize(first, end, norm, work.x, normed);
    boolean fused = config.weightMode() == WeightMode.FUSED;
    project =
        fused
            ? new Part[] {
              part(layer + "qkv_opreact", normed, qkvo, false),
              part(layer + "ifgate_preact", normed, gates, false)
            }
            : new Part[] {
              part(layer + "q", normed, qkvo, false),
              part(layer + "k", normed, qkvo.from(qk), false),
              part(layer + "v", normed, qkvo.from(2 * qk), false),
              part(layer + "ogate_preact", normed, qkvo.from(2 * qk + vd), false),
              part(layer + "igate_preact", normed, gates, false),
              part(layer + "fgate_preact", normed, gates.from(heads), false)
            };
    float gateCap = (float) config.gateSoftCap();
    cap = (first, end) -> rows.softCap(first, end, 2 * heads, gateCap, gates);
    cell =
        new MlstmCell(
            work,
            layout,
            statePrefix,
            new TokenKernels.Mlstm(heads, qk / heads, vd / heads, (float) config.eps()),
            new TokenKernels.MlstmOperands(
                qkvo, qkvo.from(qk), qkvo.from(2 * qk), gates, gates.from(heads), h));
    Norm headNorm = norm(layer + "multihead_norm", heads, vd / heads, true);
    MemoryMatrix o = qkvo.from(2 * qk + vd);
    after =
        (first, end) -> {
          rows.normalize(first, end, headNorm, h, h);
          rows.gate(first, end, vd, Activation.SIGMOID, o, h, h);
        };
    out = new Part[] {part(layer + "out_proj", h, work.x, true)};

    Norm ffnNorm = norm(at + "norm_ffn", 1, dim, false);
    beforeFfn = (first, end) -> rows.normalize(first, end, ffnNorm, work.x, normed);
    up =
        fused
            ? new Part[] {part(at + "ffn.proj_up_gate_z", normed, both, false)}
            : new Part[] {
              part(at + "ffn.proj_up_gate", normed, both, false),
              part(at + "ffn.proj_up", normed, both.from(ffn), false)
            };
    MemoryMatrix upHalf = both.from(ffn);
    activate = (first, end) -> rows.gate(first, end, ffn, Activation.SWISH, both, upHalf, both);
    down = new Part[] {part(at + "ffn.proj_down", both, work.x, true)};
  }

  private Norm norm(String name, int heads, int headDim, boolean centered) {
    MemorySegment scale = weights.vector(name + ".weight");
    @Nullable MemorySegment bias = weights.optional(name + ".bias");
    return new Norm(heads, headDim, centered, (float) config.normEps(), scale, bias);
  }

  private Part part(String name, MemoryMatrix from, MemoryMatrix to, boolean add) {
    return new Part(
        weights.matrix(name + ".weight"), weights.optional(name + ".bias"), from, to, add);
  }

  @Override
  public void forward() {
    work.each(before);
    work.project(project);
    work.each(cap);
    cell.forward();
    work.each(after);
    work.project(out);
    work.each(beforeFfn);
    work.project(up);
    work.each(activate);
    work.project(down);
  }
}
