package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/// Dropout with probability p while its model trains, the identity otherwise.
final class Dropout {
  private final double probability;
  private final ExecutionMode execution;

  Dropout(double probability, ExecutionMode execution) {
    this.probability = probability;
    this.execution = execution;
  }

  /// Returns the factor of dropout, of the shape of `x`; null for one.
  @Nullable Tensor factor(Tensor x) {
    return probability > 0 && execution.training()
        ? torch.dropout(torch.ones_like(x), probability, true)
        : null;
  }

  Tensor forward(Tensor x) {
    return probability > 0 && execution.training() ? torch.dropout(x, probability, true) : x;
  }
}
