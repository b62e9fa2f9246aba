package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

/// Dropout with probability p while its model trains, the identity otherwise.
final class Dropout {
  private final double probability;
  private final Execution execution;

  Dropout(double probability, Execution execution) {
    this.probability = probability;
    this.execution = execution;
  }

  Tensor forward(Tensor x) {
    return probability > 0 && execution.training() ? torch.dropout(x, probability, true) : x;
  }
}
