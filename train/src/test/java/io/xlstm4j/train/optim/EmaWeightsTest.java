package io.xlstm4j.train.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.torch.Tensors;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;

class EmaWeightsTest {
  @Test
  void the_average_is_the_geometric_sum_of_the_weights_seen() {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      Tensor weight = Tensors.of(new float[] {1, -2}, 2);
      try (var averages = new EmaWeights(Map.of("w", weight), 0.75)) {
        double expected = 1;
        for (int step = 1; step <= 5; step++) {
          weight.add_(new Scalar(1.0)); // 2, 3, 4, 5, 6
          averages.update();
          expected = 0.75 * expected + 0.25 * (1 + step);
        }
        try (var _ = averages.swap()) {
          assertThat((double) Tensors.floats(weight)[0]).isCloseTo(expected, within(1e-6));
          assertThat((double) Tensors.floats(weight)[1]).isCloseTo(expected - 3, within(1e-6));
        }
        assertThat(Tensors.floats(weight)).containsExactly(6, 3); // back again, exactly
      }
    }
  }
}
