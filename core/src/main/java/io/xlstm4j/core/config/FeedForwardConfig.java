package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// The gated feed-forward of an sLSTM block, `act(gate) x up`, then down (docs/math.md 3.3 and
/// 3.6).
///
/// @param projFactor width as a multiple of D, before rounding; default 1.3
/// @param actFn the activation of the gate half; default exact GELU
/// @param bias whether its two projections have biases; default false
/// @param dropout on its output; default 0
/// @param roundProjUpDimUp whether the width is rounded up, not down; default true
/// @param roundProjUpToMultipleOf what the width is a multiple of; default 64
public record FeedForwardConfig(
    double projFactor,
    Activation actFn,
    boolean bias,
    double dropout,
    boolean roundProjUpDimUp,
    int roundProjUpToMultipleOf) {
  public static final FeedForwardConfig DEFAULT =
      new FeedForwardConfig(1.3, Activation.GELU, false, 0.0, true, 64);

  /// The activation functions of the official package.
  public enum Activation {
    GELU("gelu"),
    RELU("relu"),
    RELU_SQUARED("relu^2"),
    SIGMOID("sigmoid"),
    SWISH("swish"),
    SELU("selu");

    private final String key;

    Activation(String key) {
      this.key = key;
    }

    /// The name in files.
    @Override
    public String toString() {
      return key;
    }
  }

  public FeedForwardConfig {
    ProjectionWidth.check(projFactor, roundProjUpToMultipleOf);
    Check.inHalfOpenRange("dropout", dropout, 0, 1);
  }

  /// U, the width of each half of the up-projection.
  public int upDim(int embeddingDim) {
    return ProjectionWidth.of(
        "slstmBlock.feedforward.projFactor",
        projFactor,
        embeddingDim,
        roundProjUpDimUp,
        roundProjUpToMultipleOf);
  }

  public FeedForwardConfig withProjFactor(double value) {
    return RecordComponents.with(this, "projFactor", value);
  }

  public FeedForwardConfig withActFn(Activation value) {
    return RecordComponents.with(this, "actFn", value);
  }

  public FeedForwardConfig withBias(boolean value) {
    return RecordComponents.with(this, "bias", value);
  }

  public FeedForwardConfig withDropout(double value) {
    return RecordComponents.with(this, "dropout", value);
  }

  public FeedForwardConfig withRoundProjUpDimUp(boolean value) {
    return RecordComponents.with(this, "roundProjUpDimUp", value);
  }

  public FeedForwardConfig withRoundProjUpToMultipleOf(int value) {
    return RecordComponents.with(this, "roundProjUpToMultipleOf", value);
  }
}
