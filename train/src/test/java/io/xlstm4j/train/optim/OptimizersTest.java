package io.xlstm4j.train.optim;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.randn;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.torch.Torch;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.ParameterGroup;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class OptimizersTest {
  /// With libtorch's own betas, which the presets do not let one change.
  private static final OptimizerConfig CONFIG = OptimizerConfig.of(1, 0.1, 0.9, 0.999);

  private static Tensor parameter() {
    return randn(new long[] {5, 7}, new TensorOptions(ScalarType.Double)).set_requires_grad(true);
  }

  private static void loss(Tensor x) {
    x.mutable_grad().reset();
    x.sub(new Scalar(0.3)).pow(new Scalar(4)).sum().backward();
  }

  @Test
  void moves_a_parameter_as_libtorch_does() {
    Torch.seed(3);
    try (var _ = new PointerScope()) {
      Tensor ours = new Tensor(parameter());
      Tensor theirs = new Tensor(ours.detach().clone().set_requires_grad(true));
      double rate = 0.01;
      var options = new AdamWOptions(rate);
      options.weight_decay().put(CONFIG.weightDecay());
      options.eps().put(CONFIG.epsilon());
      var reference = new org.bytedeco.pytorch.AdamW(new TensorVector(theirs), options);
      try (var adamW = Optimizers.adamW(Map.of("weight", ours), _ -> true, CONFIG)) {
        for (int step = 0; step < 20; step++) {
          loss(ours);
          loss(theirs);
          adamW.step(rate, 1);
          reference.step();
          assertThat(ours.sub(theirs).abs().max().item_double())
              .as("after step " + step)
              .isCloseTo(0, within(1e-12));
        }
      }
    }
  }

  @Test
  void scales_all_gradients_by_what_the_norm_over_all_of_them_asks_for() {
    try (var _ = new PointerScope()) {
      Tensor a = new Tensor(parameter());
      Tensor b = new Tensor(parameter());
      a.mul(new Scalar(3)).sum().backward(); // 35 gradients of 3
      b.mul(new Scalar(4)).sum().backward(); // 35 gradients of 4
      try (var adamW = Optimizers.adamW(Map.of("a", a, "b", b), _ -> true, CONFIG)) {
        double norm = adamW.gradientNorm();
        assertThat(norm).isCloseTo(Math.sqrt(35 * 25), within(1e-9));
        adamW.step(0.1, 1 / norm);
        assertThat(a.grad().norm().item_double()).isCloseTo(0.6, within(1e-9));
        assertThat(b.grad().norm().item_double()).isCloseTo(0.8, within(1e-9));
      }
    }
  }

  @Test
  void the_norm_of_gradients_that_are_not_finite_is_not_finite() {
    try (var _ = new PointerScope()) {
      Tensor x = new Tensor(parameter());
      x.mul(new Scalar(Double.NaN)).sum().backward();
      try (var adamW = Optimizers.adamW(Map.of("x", x), _ -> true, CONFIG)) {
        assertThat(adamW.gradientNorm()).isNaN();
      }
    }
  }

  @Test
  void clips_every_single_gradient_by_value() {
    try (var _ = new PointerScope()) {
      Tensor a = new Tensor(parameter());
      Tensor b = new Tensor(parameter());
      a.mul(new Scalar(-3)).sum().backward();
      b.mul(new Scalar(0.5)).sum().backward();
      try (var adamW = Optimizers.adamW(Map.of("a", a, "b", b), _ -> true, CONFIG)) {
        adamW.clipValue(2);
        assertThat(a.grad().min().item_double()).isEqualTo(-2);
        assertThat(a.grad().max().item_double()).isEqualTo(-2);
        assertThat(b.grad().max().item_double()).isEqualTo(0.5);
      }
    }
  }

  @Test
  void a_group_has_its_own_rate_and_decay_and_the_first_that_matches_counts() {
    var config =
        new OptimizerConfig(
            1,
            0.1,
            0.9,
            0.999,
            1e-8,
            0,
            0,
            0,
            List.of(
                new ParameterGroup("slow$", 0.25, 0.0),
                new ParameterGroup("frozen", 0.0, null),
                new ParameterGroup("o", null, 0.5)));
    try (var _ = new PointerScope()) {
      var tensors = new LinkedHashMap<String, Tensor>();
      for (String name : List.of("a.slow", "a.frozen", "a.other", "a.plain")) {
        tensors.put(name, new Tensor(parameter()));
      }
      var before = new LinkedHashMap<String, Tensor>();
      tensors.forEach((name, tensor) -> before.put(name, tensor.detach().clone()));
      tensors.values().forEach(tensor -> tensor.sum().backward());
      try (var adamW = Optimizers.adamW(tensors, _ -> true, config)) {
        adamW.step(0.1, 1);
      }
      // the first step of Adam moves each weight by the rate, whatever the gradient
      assertMoved(tensors, before, "a.slow", 0.1 * 0.25, 0);
      assertMoved(tensors, before, "a.frozen", 0, 0);
      assertMoved(tensors, before, "a.other", 0.1, 0.1 * 0.5);
      assertMoved(tensors, before, "a.plain", 0.1, 0.1 * 0.1);
    }
  }

  private static void assertMoved(
      Map<String, Tensor> now, Map<String, Tensor> before, String name, double by, double decay) {
    Tensor expected =
        Objects.requireNonNull(before.get(name)).mul(new Scalar(1 - decay)).sub(new Scalar(by));
    assertThat(Objects.requireNonNull(now.get(name)).sub(expected).abs().max().item_double())
        .as(name)
        .isCloseTo(0, within(1e-8));
  }

  @Test
  void a_group_that_matches_nothing_is_refused_by_its_pattern() {
    var config =
        new OptimizerConfig(
            1, 0.1, 0.9, 0.999, 1e-8, 0, 0, 0, List.of(new ParameterGroup("nothere", 1.0, null)));
    assertThatThrownBy(() -> Optimizers.settings(List.of("a.weight"), _ -> true, config))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("nothere matches no parameter")
        .hasMessageContaining("a.weight");
  }

  @Test
  void decays_only_what_it_is_told_to() {
    try (var _ = new PointerScope()) {
      Tensor weight = new Tensor(parameter());
      Tensor bias = new Tensor(parameter());
      Tensor weightBefore = weight.detach().clone();
      Tensor biasBefore = bias.detach().clone();
      weight.mul(new Scalar(0)).sum().backward();
      bias.mul(new Scalar(0)).sum().backward();
      try (var adamW =
          Optimizers.adamW(Map.of("weight", weight, "bias", bias), "weight"::equals, CONFIG)) {
        adamW.step(0.5, 1);
        Tensor decayed = weightBefore.mul(new Scalar(1 - 0.5 * CONFIG.weightDecay()));
        assertThat(weight.sub(decayed).abs().max().item_double()).isLessThan(1e-12);
        assertThat(bias.sub(biasBefore).abs().max().item_double()).isZero();
      }
    }
  }
}
