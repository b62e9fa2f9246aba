package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.gelu;
import static org.bytedeco.pytorch.global.torch.silu;

import io.xlstm4j.core.InvalidInputException;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// The mode in which a model runs: training or evaluation, and the implementation that computes its
/// cells. One object that all parts of a model read.
final class ExecutionMode {
  /// Fewer numbers than these are done before another thread is awake.
  private static final long WORTH_SHARING = 1 << 14;

  /// Tokens that one chunk of the libtorch form takes at once; also the official choice.
  private static final int CHUNK_LENGTH = 64;

  /// The same on a GPU, where a chunk costs launches and the products within it cost little.
  private static final int GPU_CHUNK_LENGTH = 512;

  private final FusedKernels fused = FusedKernels.current();
  private volatile boolean training;
  private volatile Backend backend = Backend.FUSED;
  private volatile Precision precision = Precision.FLOAT32;
  private volatile boolean recompute;

  boolean training() {
    return training;
  }

  void training(boolean on) {
    training = on;
  }

  void backend(Backend chosen) {
    backend = chosen;
  }

  void precision(Precision chosen) {
    precision = chosen;
  }

  /// Returns whether blocks are computed again in the backward pass.
  boolean activationCheckpointing() {
    return recompute;
  }

  void activationCheckpointing(boolean on) {
    recompute = on;
  }

  /// The settings that decide the numbers of a forward pass.
  record Settings(Backend backend, Precision precision, boolean training) {
    @Override
    public String toString() {
      return "backend %s, precision %s, training %s".formatted(backend, precision, training);
    }
  }

  Settings settings() {
    return new Settings(backend, precision, training);
  }

  /// Checks that what was chosen goes together.
  ///
  /// @param x what enters the blocks
  /// @throws InvalidInputException if bfloat16 is asked of kernels that only know float32
  void check(Tensor x) {
    if (precision != Precision.BFLOAT16) {
      return;
    }
    ScalarType type = x.scalar_type().intern();
    if (type != ScalarType.Float) {
      throw new InvalidInputException(
          "precision bfloat16 needs float32 parameters, but these are " + type);
    }
    if (backend == Backend.FUSED && FusedCells.takes(x)) {
      throw new InvalidInputException(
          "precision bfloat16 needs backend libtorch or a GPU; backend fused is float32 on the CPU");
    }
  }

  /// `x` in the type that projections compute in.
  Tensor forProjection(Tensor x) {
    return precision == Precision.BFLOAT16 ? x.to(ScalarType.BFloat16) : x;
  }

  /// The kernels of whole blocks.
  FusedBlocks blocks() {
    return fused.blocks();
  }

  /// The kernel of the head's loss.
  FusedHead head() {
    return fused.head();
  }

  /// The sLSTM cell over a sequence; shapes of [SlstmCell#forward], any types. Only the kernels for
  /// GPUs take half types as they are.
  SlstmCell.Output slstm(
      SlstmCell cell, Tensor wx, Tensor r, Tensor b, SlstmCell.State last, SequenceLayout layout) {
    boolean ours = fuses() && cell.equals(SlstmCell.PAPER);
    @Nullable CudaCells cuda = ours ? CudaCells.forSlstm(wx) : null;
    if (cuda != null) {
      return cuda.slstm(wx, r, b, last, layout);
    }
    Tensor wide = Ops.atLeastFloat32(wx);
    Tensor wideR = Ops.atLeastFloat32(r);
    Tensor wideB = Ops.atLeastFloat32(b);
    return ours && fuses(wide)
        ? cells(wide).slstm(wide, wideR, wideB, last, layout)
        : cell.forward(wide, wideR, wideB, last, layout);
  }

  /// The mLSTM cell over a sequence, positions before heads. Only the kernels for GPUs take half
  /// types as they are.
  ///
  /// @param q, k `(B, S, NH * DHQK)`
  /// @param v `(B, S, NH * DHV)`
  /// @param iPre, fPre `(B, S, NH)`
  /// @return h `(B, S, NH, DHV)`
  MlstmCell.Output mlstm(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor iPre,
      Tensor fPre,
      MlstmCell.State last,
      SequenceLayout layout) {
    @Nullable CudaCells cuda = fuses() ? CudaCells.forMlstm(q, v, iPre, layout) : null;
    if (cuda != null) {
      return cuda.mlstm(q, k, v, iPre, fPre, last, layout);
    }
    Tensor wideQ = Ops.atLeastFloat32(q);
    Tensor wideK = Ops.atLeastFloat32(k);
    Tensor wideV = Ops.atLeastFloat32(v);
    Tensor wideI = Ops.atLeastFloat32(iPre);
    Tensor wideF = Ops.atLeastFloat32(fPre);
    if (fuses(wideQ)) {
      return cells(wideQ).mlstm(wideQ, wideK, wideV, wideI, wideF, last, layout);
    }
    long heads = iPre.size(2);
    MlstmCell.Output cell =
        MlstmCell.forward(
            headsFirst(wideQ, heads),
            headsFirst(wideK, heads),
            headsFirst(wideV, heads),
            wideI.transpose(1, 2),
            wideF.transpose(1, 2),
            last,
            layout,
            q.is_cuda() ? GPU_CHUNK_LENGTH : CHUNK_LENGTH);
    return new MlstmCell.Output(cell.h().transpose(1, 2), cell.state());
  }

  /// Convolution over time and SiLU, with the next tail.
  CausalConv1d.Output convSilu(CausalConv1d conv, Tensor x, Tensor tail, SequenceLayout layout) {
    conv.check(x, tail, layout);
    if (fuses(x) && conv.isDepthwise() && tail.size(1) > 0) {
      return layers(x).convSilu(x, conv.weight(), conv.bias(), tail, layout);
    }
    CausalConv1d.Output convolved = conv.forward(x, tail, layout);
    return new CausalConv1d.Output(silu(convolved.y()), convolved.tail());
  }

  /// A projection by blocks.
  Tensor headwise(HeadwiseLinear projection, Tensor x) {
    if (!fuses(x)) {
      return projection.forward(x);
    }
    Tensor y = layers(x).headwise(x, projection.weight());
    return projection.bias() == null ? y : y.add(projection.bias());
  }

  /// The norm over the last axis.
  Tensor layerNorm(Norms.LayerNorm norm, Tensor x) {
    return fuses(x) ? layers(x).layerNorm(x, norm.weight(), Norms.EPS) : norm.forward(x);
  }

  /// `(norm(h) + skip xc) silu(z)`, the norm over each head.
  Tensor gatedHeadNorm(Norms.MultiHeadLayerNorm norm, Tensor h, Tensor skip, Tensor xc, Tensor z) {
    return fuses(h) && norm.weight() != null
        ? layers(h).gatedHeadNorm(h, norm.weight(), skip, xc, z, Norms.EPS)
        : norm.forward(h).add(skip.mul(xc)).mul(silu(z));
  }

  /// `gelu(gate) up`, gate half first.
  Tensor gatedGelu(Tensor both) {
    if (fuses(both)) {
      return layers(both).gatedGelu(both);
    }
    long up = both.size(-1) / 2;
    return gelu(both.narrow(-1, 0, up)).mul(both.narrow(-1, up, up)); // exact, by erf
  }

  private FusedCells cells(Tensor x) {
    return x.numel() < WORTH_SHARING ? fused.cellsAlone() : fused.cells();
  }

  private FusedLayers layers(Tensor x) {
    return x.numel() < WORTH_SHARING ? fused.layersAlone() : fused.layers();
  }

  /// Returns whether our own kernels compute what they can.
  boolean fuses() {
    return backend == Backend.FUSED;
  }

  /// Returns whether whole blocks are computed by our own kernels.
  boolean fuses(Tensor x) {
    return backend == Backend.FUSED && precision == Precision.FLOAT32 && FusedCells.takes(x);
  }

  /// `(B, S, NH * W)` to `(B, NH, S, W)`.
  private static Tensor headsFirst(Tensor x, long heads) {
    return x.view(x.size(0), x.size(1), heads, -1).transpose(1, 2);
  }
}
