package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.cross_entropy_loss;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;

/// Losses over logits.
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

  /// The same, summed.
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
