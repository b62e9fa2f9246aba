package io.xlstm4j.train;

import io.xlstm4j.torch.Tensors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/// Reaches into the weights of a run, to spoil them.
final class Weights {
  private Weights() {}

  private static Tensor one(LiveRun run) {
    return run.task().parameters().byName().values().iterator().next().detach();
  }

  /// Fills one parameter.
  ///
  /// @return what it held
  static float[] poison(LiveRun run, float value) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Tensor weight = one(run);
      float[] before = Tensors.floats(weight);
      weight.fill_(new Scalar(value));
      return before;
    }
  }

  static void restore(LiveRun run, float[] values) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Tensor weight = one(run);
      weight.copy_(Tensors.of(values, weight.sizes().vec().get()));
    }
  }
}
