package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.bytedeco.pytorch.global.torch.randn;

import io.xlstm4j.torch.Torch;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class AdamWTest {
  /// With libtorch's own betas, which the presets do not let one change.
  private static final TrainingConfig CONFIG =
      new TrainingConfig(1, 1, 1, 1, 0, 0.1, 0.9, 0.999, 1e-8, 1.0, 1, 1, 0, 1);

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
      try (var adamW = new AdamW(Map.of("weight", ours), _ -> true, CONFIG)) {
        for (int step = 0; step < 20; step++) {
          loss(ours);
          loss(theirs);
          adamW.step(rate, 0);
          reference.step();
          assertThat(ours.sub(theirs).abs().max().item_double())
              .as("after step " + step)
              .isCloseTo(0, within(1e-12));
        }
      }
    }
  }

  @Test
  void clips_by_the_norm_over_all_parameters_and_reports_the_norm_before() {
    try (var _ = new PointerScope()) {
      Tensor a = new Tensor(parameter());
      Tensor b = new Tensor(parameter());
      a.mul(new Scalar(3)).sum().backward(); // 35 gradients of 3
      b.mul(new Scalar(4)).sum().backward(); // 35 gradients of 4
      try (var adamW = new AdamW(Map.of("a", a, "b", b), _ -> true, CONFIG)) {
        double norm = adamW.step(0.0, 1.0);
        assertThat(norm).isCloseTo(Math.sqrt(35 * 25), within(1e-9));
        assertThat(a.grad().norm().item_double()).isCloseTo(0.6, within(1e-9));
        assertThat(b.grad().norm().item_double()).isCloseTo(0.8, within(1e-9));
      }
    }
  }

  @Test
  void moves_nothing_when_a_gradient_is_not_finite() {
    try (var _ = new PointerScope()) {
      Tensor x = new Tensor(parameter());
      x.mul(new Scalar(Double.NaN)).sum().backward();
      Tensor before = x.detach().clone();
      try (var adamW = new AdamW(Map.of("x", x), _ -> true, CONFIG)) {
        assertThat(adamW.step(0.1, 1.0)).isNaN();
        assertThat(x.sub(before).abs().max().item_double()).isZero();
      }
    }
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
          new AdamW(Map.of("weight", weight, "bias", bias), "weight"::equals, CONFIG)) {
        adamW.step(0.5, 0);
        Tensor decayed = weightBefore.mul(new Scalar(1 - 0.5 * CONFIG.weightDecay()));
        assertThat(weight.sub(decayed).abs().max().item_double()).isLessThan(1e-12);
        assertThat(bias.sub(biasBefore).abs().max().item_double()).isZero();
      }
    }
  }
}
