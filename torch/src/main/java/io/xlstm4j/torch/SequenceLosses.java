package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.cross_entropy_loss;
import static org.bytedeco.pytorch.global.torch.maximum;

import io.xlstm4j.core.config.SequenceLossConfig;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Losses of a sequence model, summed over the targets that are there: a target that is NaN counts
/// for nothing, and moves no gradient.
final class SequenceLosses {
  private static final long SUM = 2;

  private SequenceLosses() {}

  /// @param predicted `(..., outputs, width)`
  /// @param targets `(..., outputs)`, NaN for none; for cross entropy whole numbers in [0, classes)
  /// @param known `(..., outputs)` booleans: the targets that are not NaN
  /// @return one number
  static Tensor sum(SequenceLossConfig loss, Tensor predicted, Tensor targets, Tensor known) {
    Tensor wanted = Ops.whereElse(known, targets, 0); // NaN times zero would be NaN
    return switch (loss.kind()) {
      case MSE -> {
        Tensor error = wanted.sub(predicted.squeeze(-1));
        yield Ops.whereElse(known, error.mul(error), 0).sum();
      }
      case MAE -> Ops.whereElse(known, wanted.sub(predicted.squeeze(-1)).abs(), 0).sum();
      case QUANTILE -> {
        float[] levels = new float[loss.levels().size()];
        for (int i = 0; i < levels.length; i++) {
          levels[i] = loss.levels().get(i).floatValue();
        }
        Tensor q = Tensors.of(levels, levels.length).to(predicted.device(), ScalarType.Float);
        Tensor error = Ops.column(wanted).sub(predicted); // (..., outputs, levels)
        Tensor pinball = maximum(q.mul(error), q.sub(Ops.number(1)).mul(error)).mean(-1);
        yield Ops.whereElse(known, pinball, 0).sum();
      }
      case CROSS_ENTROPY -> {
        Tensor classes = Ops.whereElse(known, targets, Losses.IGNORED).to(ScalarType.Long);
        yield cross_entropy_loss(
            predicted.flatten(0, -2),
            classes.flatten(),
            new TensorOptional(),
            SUM,
            Losses.IGNORED,
            0.0);
      }
    };
  }
}
