package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import org.jspecify.annotations.Nullable;

/// An sLSTM block, `x + slstm(norm(x))`, then `x + ffn(norm(x))` if it has a feed-forward (spec
/// 3.3).
///
/// @param feedforward null for a block without one
public record SlstmBlockConfig(SlstmLayerConfig slstm, @Nullable FeedForwardConfig feedforward)
    implements BlockConfig {
  public static final SlstmBlockConfig DEFAULT =
      new SlstmBlockConfig(SlstmLayerConfig.DEFAULT, FeedForwardConfig.DEFAULT);

  void checkFits(int embeddingDim) {
    int heads = slstm.numHeads();
    int kernelSize = slstm.conv1dKernelSize();
    Check.divides("slstmBlock.slstm.numHeads", heads, "embeddingDim", embeddingDim);
    Check.fitsArray(
        "embeddingDim", embeddingDim, "4 head widths", 4L * (embeddingDim / heads), "recurrence");
    Check.fitsArray(
        "embeddingDim",
        embeddingDim,
        "slstmBlock.slstm.conv1dKernelSize",
        kernelSize,
        "convolution");
    if (feedforward != null) {
      long up = feedforward.upDim(embeddingDim);
      Check.fitsArray("both halves", 2 * up, "embeddingDim", embeddingDim, "feed-forward");
    }
  }

  public SlstmBlockConfig withSlstm(SlstmLayerConfig value) {
    return RecordComponents.with(this, "slstm", value);
  }

  public SlstmBlockConfig withFeedforward(@Nullable FeedForwardConfig value) {
    return RecordComponents.with(this, "feedforward", value);
  }
}
