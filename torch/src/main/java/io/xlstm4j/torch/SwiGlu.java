package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.silu;

import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The feed-forward of the Large family: `(silu(x W_gate) * (x W_up)) W_down` (docs/math.md 3.9).
final class SwiGlu {
  private final long width; // U
  private final List<Linear> up; // gate and up, or both stacked
  private final Linear projDown;

  SwiGlu(Parameters.Prefix at, LargeModelConfig config) {
    long dim = config.embeddingDim();
    width = config.ffnDim();
    Init small = Init.small(dim);
    @Nullable Init bias = config.useBias() ? Init.constant(0) : null;
    up =
        config.weightMode() == WeightMode.FUSED
            ? List.of(
                Linear.create(
                    at.at("proj_up_gate_z"),
                    dim,
                    2 * width,
                    Init.stacked(List.of(small, small), width, width),
                    bias))
            : List.of(
                Linear.create(at.at("proj_up_gate"), dim, width, small, bias),
                Linear.create(at.at("proj_up"), dim, width, small, bias));
    projDown =
        Linear.create(at.at("proj_down"), width, dim, Init.wang(dim, config.numBlocks()), bias);
  }

  /// As [FusedLargeBlock] takes them: gate and up stacked, down.
  List<List<Tensor>> weights() {
    return List.of(up.stream().map(Linear::weight).toList(), List.of(projDown.weight()));
  }

  Tensor forward(Tensor x) {
    if (up.size() == 2) {
      return projDown.forward(silu(up.getFirst().forward(x)).mul(up.getLast().forward(x)));
    }
    Tensor both = up.getFirst().forward(x); // (B, S, 2 U)
    return projDown.forward(silu(both.narrow(-1, 0, width)).mul(both.narrow(-1, width, width)));
  }
}
