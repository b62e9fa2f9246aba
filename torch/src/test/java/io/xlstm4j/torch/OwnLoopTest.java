package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.randn;

import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

/// A training loop of a user's own: layers, a loss and an optimizer.
class OwnLoopTest {
  private static Tensor normal(ScalarType type, long... shape) {
    return randn(shape, new TensorOptions(type));
  }

  @Test
  void an_optimizer_of_a_store_updates_as_libtorchs_with_its_defaults() {
    Torch.seed(3);
    try (var _ = new PointerScope();
        var parameters = new Parameters(Torch.device("cpu"), ScalarType.Double)) {
      Tensor ours = new Linear(parameters.at("layer"), 5, 3).weight();
      Tensor theirs = new Tensor(ours.detach().clone().set_requires_grad(true));
      Tensor x = normal(ScalarType.Double, 4, 5);
      var reference =
          new org.bytedeco.pytorch.AdamW(new TensorVector(theirs), new AdamWOptions(0.01));
      try (var optimizer = new AdamW(parameters, 0.01)) {
        for (int step = 0; step < 10; step++) {
          optimizer.zeroGradients();
          reference.zero_grad();
          new Linear(ours, null).forward(x).pow(new Scalar(4)).sum().backward();
          new Linear(theirs, null).forward(x).pow(new Scalar(4)).sum().backward();
          optimizer.step();
          reference.step();
          assertThat(ours.sub(theirs).abs().max().item_double()).isCloseTo(0, within(1e-12));
        }
        assertThat(optimizer.updates()).isEqualTo(10);
      }
    }
  }

  @Test
  void a_linear_layer_beside_a_cell_is_trained_by_the_same_optimizer() {
    Torch.seed(5);
    try (var _ = new PointerScope();
        var lstm = new Slstm(3, 4, 2)) {
      var head = new Linear(lstm.parameters().at("head"), 3, 2);
      assertThat(lstm.parameters().byName()).containsKeys("head.weight", "head.bias");
      float bound = (float) (1 / Math.sqrt(3));
      for (float weight : Tensors.floats(head.weight())) {
        assertThat(weight).isBetween(-bound, bound).isNotZero();
      }
      Tensor x = normal(ScalarType.Float, 2, 6, 3);
      Tensor targets = normal(ScalarType.Float, 2, 6, 2);
      double first = 0;
      double last = 0;
      try (var optimizer = new AdamW(lstm.parameters(), 0.02)) {
        for (int step = 0; step < 30; step++) {
          try (var _ = new PointerScope()) {
            Tensor output = head.forward(lstm.forward(x, lstm.initialState(2)).output());
            Tensor loss = Losses.meanSquaredError(output, targets);
            optimizer.zeroGradients();
            loss.backward();
            optimizer.step();
            last = loss.item_double();
            first = step == 0 ? last : first;
          }
        }
        optimizer.zeroGradients();
        assertThat(head.weight().grad().defined()).isFalse();
      }
      assertThat(last).isLessThan(0.7 * first);
    }
  }

  @Test
  void a_learning_rate_of_zero_updates_nothing_and_closed_parameters_are_refused() {
    Torch.seed(6);
    try (var _ = new PointerScope()) {
      var parameters = Parameters.onCpu();
      Tensor weight = new Linear(parameters.at("layer"), 5, 3).weight();
      try (var optimizer = new AdamW(parameters, 0.01)) {
        float[] before = Tensors.floats(weight);
        weight.sum().backward();
        optimizer.learningRate(0);
        optimizer.step();
        assertThat(Tensors.floats(weight)).isEqualTo(before);
        optimizer.learningRate(0.1);
        optimizer.step();
        assertThat(Tensors.floats(weight)).isNotEqualTo(before);
        parameters.close();
        assertThatThrownBy(optimizer::step)
            .isInstanceOf(IllegalStateException.class)
            .hasMessageContaining("its parameters are gone");
      }
    }
  }

  @Test
  void what_makes_no_sense_is_refused_by_name() {
    try (var _ = new PointerScope();
        var parameters = Parameters.onCpu()) {
      assertThatThrownBy(() -> new Linear(parameters.at("a"), 0, 3))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("in (0)");
      assertThatThrownBy(() -> new AdamW(parameters, -1.0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("learningRate (-1.0)");
      assertThatThrownBy(() -> AdamW.Options.DEFAULT.withBeta2(1)).hasMessageContaining("beta2");
      Tensor two = normal(ScalarType.Float, 2, 2);
      Tensor three = normal(ScalarType.Float, 2, 3);
      assertThatThrownBy(() -> Losses.meanSquaredError(two, three))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("targets must have shape");
      try (var frozen =
          new AdamW(Map.of("x", two), AdamW.Options.DEFAULT, _ -> new AdamW.Settings(0, 0.1))) {
        frozen.step();
        assertThat(frozen.updates()).isOne();
      }
    }
  }
}
