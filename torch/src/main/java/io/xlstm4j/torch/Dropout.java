package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/// Dropout with probability p while its model trains, the identity otherwise.
final class Dropout {
  /// Whether a model is training; one switch that all its dropouts read.
  static final class Mode {
    private boolean training;

    void training(boolean on) {
      training = on;
    }

    boolean training() {
      return training;
    }
  }

  private final double probability;
  private final Mode mode;

  Dropout(double probability, Mode mode) {
    this.probability = probability;
    this.mode = mode;
  }

  Tensor forward(Tensor x) {
    return probability > 0 && mode.training() ? torch.dropout(x, probability, true) : x;
  }
}
