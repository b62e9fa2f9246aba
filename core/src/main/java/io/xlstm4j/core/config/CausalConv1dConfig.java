package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// A causal convolution over time (docs/math.md 1.3 and 3.6).
///
/// @param featureDim C, channels in and out
/// @param kernelSize K, taps; the last multiplies the current token; default 4
/// @param causalConvBias whether there is a bias per channel; default true
/// @param channelMixing whether every output channel reads every input channel; default false
public record CausalConv1dConfig(
    int featureDim, int kernelSize, boolean causalConvBias, boolean channelMixing) {
  public CausalConv1dConfig {
    Check.positive("featureDim", featureDim);
    Check.positive("kernelSize", kernelSize);
  }

  /// Depthwise and with a bias, as the blocks use it.
  public static CausalConv1dConfig of(int featureDim, int kernelSize) {
    return new CausalConv1dConfig(featureDim, kernelSize, true, false);
  }

  public CausalConv1dConfig withFeatureDim(int value) {
    return RecordComponents.with(this, "featureDim", value);
  }

  public CausalConv1dConfig withKernelSize(int value) {
    return RecordComponents.with(this, "kernelSize", value);
  }

  public CausalConv1dConfig withCausalConvBias(boolean value) {
    return RecordComponents.with(this, "causalConvBias", value);
  }

  public CausalConv1dConfig withChannelMixing(boolean value) {
    return RecordComponents.with(this, "channelMixing", value);
  }
}
