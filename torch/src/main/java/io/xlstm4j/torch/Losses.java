package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.cross_entropy_loss;
import static org.bytedeco.pytorch.global.torch.mse_loss;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;

/// Loss functions. What they return is a scalar with a gradient, in the caller's scope.
public final class Losses {
  /// A target that counts for nothing.
  public static final int IGNORED = -1;

  private static final long MEAN = 1;
  private static final long SUM = 2;

  private Losses() {}

  /// Mean cross entropy in nats over the targets that are not [#IGNORED].
  ///
  /// @param logits `(B, S, V)`
  /// @param targets `(B, S)` int64
  public static Tensor crossEntropy(Tensor logits, Tensor targets) {
    return crossEntropy(logits, targets, MEAN);
  }

  /// Returns the mean squared error over all elements, as PyTorch's `mse_loss`.
  ///
  /// @param predictions of any shape
  /// @param targets of the same shape
  /// @throws IllegalArgumentException if the shapes differ
  public static Tensor meanSquaredError(Tensor predictions, Tensor targets) {
    Ops.expectShape("targets", targets, "of predictions", Ops.shape(predictions));
    return mse_loss(predictions, targets);
  }

  /// The same as [#crossEntropy], summed.
  public static Tensor crossEntropySum(Tensor logits, Tensor targets) {
    return crossEntropy(logits, targets, SUM);
  }

  private static Tensor crossEntropy(Tensor logits, Tensor targets, long reduction) {
    Ops.expectShape("targets", targets, "(B, S)", logits.size(0), logits.size(1));
    return cross_entropy_loss(
        Ops.atLeastFloat32(logits).flatten(0, 1),
        targets.to(logits.device(), org.bytedeco.pytorch.global.torch.ScalarType.Long).flatten(),
        new TensorOptional(),
        reduction,
        IGNORED,
        0.0);
  }
}
