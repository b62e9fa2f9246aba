package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

/// Gradients of losses with respect to lists of tensors, by autograd and by finite differences.
final class Gradients {
  private Gradients() {}

  /// Copies that collect a gradient.
  static List<Tensor> leaves(List<Tensor> tensors) {
    return tensors.stream().map(x -> x.detach().clone().set_requires_grad(true)).toList();
  }

  /// Runs the backward pass.
  static List<Tensor> of(Tensor loss, List<Tensor> leaves) {
    loss.backward();
    return leaves.stream().map(Gradients::of).toList();
  }

  /// Returns the gradient of a leaf; zeros if nothing.
  static Tensor of(Tensor leaf) {
    return leaf.grad().defined() ? leaf.grad() : Ops.zerosLike(leaf, Ops.shape(leaf));
  }

  static double largest(Tensor x) {
    return Arrays.stream(Tensors.doubles(x)).map(Math::abs).max().orElse(0);
  }

  static void assertFinite(String what, Tensor x) {
    assertThat(Arrays.stream(Tensors.doubles(x))).as(what).allMatch(Double::isFinite);
  }

  /// Compares autograd with central differences over every number of every float64 input.
  ///
  /// @param names of the inputs, for messages
  /// @param loss a scalar of the inputs
  static void check(
      List<String> names,
      List<Tensor> inputs,
      Function<List<Tensor>, Tensor> loss,
      double tolerance) {
    List<Tensor> leaves = leaves(inputs);
    List<Tensor> gradients = of(loss.apply(leaves), leaves);
    ToDoubleFunction<List<Tensor>> value =
        xs -> {
          try (var _ = new PointerScope()) {
            return loss.apply(xs).item_double();
          }
        };
    UnaryOperator<Tensor> copy = x -> x.detach().clone();
    for (int which = 0; which < inputs.size(); which++) {
      List<Tensor> moved = inputs.stream().map(copy).toList();
      double[] expected = differences(moved, which, value);
      double[] actual = Tensors.doubles(gradients.get(which));
      assertThat(largest(gradients.get(which))).as(names.get(which) + " matters").isPositive();
      for (int i = 0; i < expected.length; i++) {
        assertThat(actual[i])
            .as("gradient of %s[%d]", names.get(which), i)
            .isCloseTo(expected[i], within(tolerance));
      }
    }
  }

  private static double[] differences(
      List<Tensor> inputs, int which, ToDoubleFunction<List<Tensor>> value) {
    double step = 1e-5; // the error of a central difference is of order step² and 1e-16 / step
    Tensor x = inputs.get(which);
    MemorySegment memory = Tensors.memory(x, x.numel() * Double.BYTES);
    double[] slopes = new double[(int) x.numel()];
    for (int i = 0; i < slopes.length; i++) {
      double at = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at + step);
      double above = value.applyAsDouble(inputs);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at - step);
      double below = value.applyAsDouble(inputs);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, at);
      slopes[i] = (above - below) / (2 * step);
    }
    return slopes;
  }
}
