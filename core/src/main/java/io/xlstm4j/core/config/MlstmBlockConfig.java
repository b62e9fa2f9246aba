package io.xlstm4j.core.config;

import io.xlstm4j.core.RecordComponents;

/// An mLSTM block, `x + mlstm(norm(x))`; it has no feed-forward (docs/math.md 3.2).
public record MlstmBlockConfig(MlstmLayerConfig mlstm) implements BlockConfig {
  public static final MlstmBlockConfig DEFAULT = new MlstmBlockConfig(MlstmLayerConfig.DEFAULT);

  public MlstmBlockConfig withMlstm(MlstmLayerConfig value) {
    return RecordComponents.with(this, "mlstm", value);
  }
}
