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

  /// @param x `(B, S, NH * in)`
  /// @return `(B, S, NH * out)`
  Tensor forward(Tensor x) {
    long batch = x.size(0);
    long length = x.size(1);
    long heads = weight.size(0);
    Tensor blocks = x.reshape(batch * length, heads, weight.size(2)).transpose(0, 1);
    Tensor y = matmul(blocks, weight.type_as(x).transpose(1, 2)); // (NH, B S, out)
    Tensor flat = y.transpose(0, 1).reshape(batch, length, heads * weight.size(1));
    return bias == null ? flat : flat.add(bias.type_as(x));
  }
}
