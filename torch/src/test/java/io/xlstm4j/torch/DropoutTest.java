package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DropoutTest {
  private static final int COUNT = 40_000;
  private static final int DIM = 64;

  /// Both ways in which dropout is applied: to a value, and as a factor for a kernel.
  @ParameterizedTest(name = "p = {0}")
  @ValueSource(doubles = {0.1, 0.25, 0.5})
  void what_is_kept_is_divided_by_the_probability_of_keeping_it(double probability) {
    var execution = new ExecutionMode();
    execution.training(true);
    var dropout = new Dropout(probability, execution);
    try (var _ = new PointerScope()) {
      Tensor x = torch.full(new long[] {COUNT}, new Scalar(3.0f));
      Torch.seed(11);
      assertScaled(Tensors.floats(dropout.forward(x)), 3, probability);
      Torch.seed(11);
      assertScaled(Tensors.floats(Objects.requireNonNull(dropout.factor(x))), 1, probability);
    }
  }

  private static void assertScaled(float[] values, double before, double probability) {
    float kept = (float) (before / (1 - probability));
    int zeros = 0;
    for (float value : values) {
      if (value == 0) {
        zeros++;
      } else {
        assertThat(value).isEqualTo(kept, within(1e-6f));
      }
    }
    double deviation = Math.sqrt(probability * (1 - probability) / COUNT);
    assertThat((double) zeros / COUNT).isCloseTo(probability, within(5 * deviation));
    double mean = 0;
    for (float value : values) {
      mean += value / COUNT;
    }
    assertThat(mean).isCloseTo(before, within(before * 5 * deviation / (1 - probability)));
  }

  @ParameterizedTest(name = "p = {0}")
  @ValueSource(doubles = {0, 0.5})
  void outside_training_nothing_is_dropped(double probability) {
    var dropout = new Dropout(probability, new ExecutionMode());
    try (var _ = new PointerScope()) {
      Tensor x = torch.ones(new long[] {100});
      assertThat(Tensors.floats(dropout.forward(x))).isEqualTo(filled(100, 1));
      assertThat(dropout.factor(x)).isNull();
    }
  }

  private static float[] filled(int count, float value) {
    var values = new float[count];
    Arrays.fill(values, value);
    return values;
  }

  /// The kernels of whole blocks are given factors, the libtorch form drops from what it computed:
  /// with the same random numbers they give the same outputs and gradients. One position of one
  /// sequence, so that their order, which is another in the two forms, does not matter.
  @ParameterizedTest(name = "sLSTM {0}")
  @ValueSource(booleans = {false, true})
  void both_backends_drop_alike(boolean slstm) {
    var cells =
        new BlockStackConfig(
            2,
            DIM,
            64,
            slstm ? List.of(0, 1) : List.of(),
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT),
            new SlstmBlockConfig(SlstmLayerConfig.DEFAULT, FeedForwardConfig.DEFAULT),
            true,
            false,
            0.4);
    try (var _ = new PointerScope();
        var parameters = Parameters.onCpu()) {
      Torch.seed(3);
      var stack = new BlockStack(parameters.at("stack"), cells);
      stack.training(true);
      Tensor x = torch.randn(1, 1, DIM);
      Tensor onto = torch.randn(1, 1, DIM);
      stack.backend(Backend.FUSED);
      Pass fused = pass(stack, x, onto);
      stack.backend(Backend.LIBTORCH);
      Pass libtorch = pass(stack, x, onto);
      Golden.assertCloseRelative("output", fused.output, libtorch.output, 1e-5);
      Golden.assertCloseRelative("gradient", fused.gradient, libtorch.gradient, 1e-4);
    }
  }

  private record Pass(Tensor output, Tensor gradient) {}

  private static Pass pass(BlockStack stack, Tensor x, Tensor onto) {
    Torch.seed(11);
    var leaf = new Tensor(x.clone().set_requires_grad(true));
    Tensor output = stack.forward(leaf, stack.initialState(1), SequenceLayout.FULL).x();
    output.mul(onto).sum().backward();
    return new Pass(output.detach(), leaf.grad());
  }
}
