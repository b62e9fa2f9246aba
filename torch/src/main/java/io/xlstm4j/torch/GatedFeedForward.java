package io.xlstm4j.torch;

import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.FeedForwardConfig.Activation;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/// The feed-forward of an sLSTM block: `dropout((act(gate) * up) W_down)`, gate half first (spec
/// 3.3).
final class GatedFeedForward {
  private final Activation activation;
  private final Linear projUp;
  private final Linear projDown;
  private final Dropout dropout;
  private final ExecutionMode execution;

  GatedFeedForward(
      Parameters.Prefix at,
      FeedForwardConfig config,
      int dim,
      int numBlocks,
      ExecutionMode execution) {
    this.activation = config.actFn();
    this.dropout = new Dropout(config.dropout(), execution);
    this.execution = execution;
    int up = config.upDim(dim);
    var bias = config.bias() ? Init.constant(0) : null;
    projUp = Linear.create(at.at("proj_up"), dim, 2L * up, Init.small(dim), bias);
    projDown = Linear.create(at.at("proj_down"), up, dim, Init.wang(dim, numBlocks), bias);
  }

  /// U, the width of the gate.
  int upDim() {
    return (int) projDown.weight().size(1);
  }

  /// The parameters, the norm before it first, as [FusedBlocks] takes them; none if no kernel knows
  /// this kind.
  List<Tensor> parts(Tensor norm) {
    return activation == Activation.GELU && projUp.bias() == null
        ? List.of(norm, projUp.weight(), projDown.weight())
        : List.of();
  }

  /// Returns the factor of dropout on the output; null for one.
  @Nullable Tensor dropoutFactor(Tensor x) {
    return dropout.factor(x);
  }

  Tensor forward(Tensor x) {
    Tensor both = projUp.forward(execution.forProjection(x)); // (B, S, 2 U)
    return dropout.forward(projDown.forward(activated(both)));
  }

  /// `act(gate) up`
  private Tensor activated(Tensor both) {
    if (activation == Activation.GELU) {
      return execution.gatedGelu(both);
    }
    long up = both.size(-1) / 2;
    return activate(activation, both.narrow(-1, 0, up)).mul(both.narrow(-1, up, up));
  }

  private static Tensor activate(Activation activation, Tensor x) {
    return switch (activation) {
      case GELU -> torch.gelu(x); // exact, by erf
      case RELU -> x.relu();
      case RELU_SQUARED -> x.relu().square();
      case SIGMOID -> x.sigmoid();
      case SWISH -> torch.silu(x);
      case SELU -> torch.selu(x);
    };
  }
}
