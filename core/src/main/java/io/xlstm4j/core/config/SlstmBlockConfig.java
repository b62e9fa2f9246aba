package io.xlstm4j.core.config;

import org.jspecify.annotations.Nullable;

/// An sLSTM block, `x + slstm(norm(x))`, then `x + ffn(norm(x))` if it has a feed-forward (spec
/// 3.3).
///
/// @param feedforward null for a block without one
public record SlstmBlockConfig(SlstmLayerConfig slstm, @Nullable FeedForwardConfig feedforward)
    implements BlockConfig {
  public static final SlstmBlockConfig DEFAULT =
      new SlstmBlockConfig(SlstmLayerConfig.DEFAULT, FeedForwardConfig.DEFAULT);
}
