package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.matmul;

import io.xlstm4j.core.config.LinearHeadwiseExpandConfig;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// A projection by independent blocks, `y[h, o] = Σ x[h, d] W[h, o, d]` (docs/math.md 1.3), in the
/// type of x.
///
/// @param weight `(NH, out, in)`
/// @param bias `(NH * out)`, or null
record HeadwiseLinear(Tensor weight, @Nullable Tensor bias) {
  static HeadwiseLinear create(
      Parameters.Prefix at, LinearHeadwiseExpandConfig config, Init weight) {
    int heads = config.numHeads();
    long out = config.outFeatures();
    return new HeadwiseLinear(
        at.create("weight", weight, heads, out / heads, config.inFeatures() / heads),
        config.bias() ? at.create("bias", Init.constant(0), out) : null);
  }

  /// Blocks up to this width fill no tile of a GPU's matrix units.
  private static final long NARROW = 32;

  /// Inputs up to which a whole matrix of mostly zeros is no burden.
  private static final long DENSE_INPUTS = 8192;

  /// @param x `(B, S, NH * in)`
  /// @return `(B, S, NH * out)`
  Tensor forward(Tensor x) {
    boolean narrow = weight.size(2) <= NARROW && x.size(-1) <= DENSE_INPUTS;
    return x.is_cuda() && narrow ? forwardDense(x) : forwardByBlocks(x);
  }

  /// As one product with the blocks on the diagonal of a matrix: more arithmetic than
  /// [#forwardByBlocks], but three times faster on a GPU (cuda/NOTES.md).
  Tensor forwardDense(Tensor x) {
    Tensor blocks = weight.type_as(x).permute(1, 2, 0); // (out, in, NH)
    Tensor whole = blocks.diag_embed(0, 0, 2).flatten(2, 3).flatten(0, 1); // (NH out, NH in)
    return Ops.project(x, whole, bias == null ? null : bias.type_as(x));
  }

  /// One product for each block.
  Tensor forwardByBlocks(Tensor x) {
    long batch = x.size(0);
    long length = x.size(1);
    long heads = weight.size(0);
    Tensor blocks = x.reshape(batch * length, heads, weight.size(2)).transpose(0, 1);
    Tensor y = matmul(blocks, weight.type_as(x).transpose(1, 2)); // (NH, B S, out)
    Tensor flat = y.transpose(0, 1).reshape(batch, length, heads * weight.size(1));
    return bias == null ? flat : flat.add(bias.type_as(x));
  }
}
