package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.rms_norm;

import io.xlstm4j.core.config.LargeModelConfig;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.jspecify.annotations.Nullable;

/// The norms of the Large family: the stored weight scales as it is, not by `1 + w`, after the
/// result is back in the type of the input (docs/math.md 3.1).
final class LargeNorms {
  private LargeNorms() {}

  /// By the root mean square of the last axis.
  record RmsNorm(Scale scale) {
    static RmsNorm create(Parameters.Prefix at, long dim, LargeModelConfig config) {
      return new RmsNorm(Scale.create(at, dim, config));
    }

    /// Per channel.
    Tensor weight() {
      return scale.weight;
    }

    Tensor forward(Tensor x) {
      Tensor wide = scale.wide(x);
      Tensor y =
          rms_norm(
              wide, new long[] {x.size(-1)}, new TensorOptional(), new DoubleOptional(scale.eps));
      return scale.apply(y.to(x.scalar_type()));
    }
  }

  /// LayerNorm over the width of each head.
  record MultiHeadLayerNorm(Scale scale) {
    static MultiHeadLayerNorm create(Parameters.Prefix at, long dim, LargeModelConfig config) {
      return new MultiHeadLayerNorm(Scale.create(at, dim, config));
    }

    /// Per channel.
    Tensor weight() {
      return scale.weight;
    }

    /// @param x `(B, S, NH, DHV)`
    /// @return `(B, S, NH * DHV)`
    Tensor forward(Tensor x) {
      Tensor y = Ops.normalize(scale.wide(x), scale.eps).to(x.scalar_type());
      return scale.apply(y.flatten(2, 3));
    }
  }

  /// The common interface of the norms.
  ///
  /// @param weight per channel
  /// @param bias per channel, or null
  /// @param eps added to the mean square or the variance
  /// @param wideSums whether half-precision numbers are summed in float32
  private record Scale(Tensor weight, @Nullable Tensor bias, double eps, boolean wideSums) {
    static Scale create(Parameters.Prefix at, long dim, LargeModelConfig config) {
      return new Scale(
          at.create("weight", Init.constant(1), dim),
          config.useBias() ? at.create("bias", Init.constant(0), dim) : null,
          config.normEps(),
          config.normReductionForceFloat32());
    }

    Tensor wide(Tensor x) {
      return wideSums ? Ops.atLeastFloat32(x) : x;
    }

    Tensor apply(Tensor x) {
      Tensor y = x.mul(weight);
      return bias == null ? y : y.add(bias);
    }
  }
}
