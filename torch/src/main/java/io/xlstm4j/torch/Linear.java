package io.xlstm4j.torch;

import io.xlstm4j.core.Check;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// A linear layer, as PyTorch's: `x Wᵀ + b`, in the type of x.
///
/// Its parameters belong to a store, which closes them; beside an [Slstm] or [Mlstm] that is the
/// layer's own, so that one optimizer has all of them:
///
/// ```java
/// var lstm = new Slstm(16, 8, 2);
/// var head = new Linear(lstm.parameters().at("head"), 16, 3);
/// Tensor logits = head.forward(lstm.forward(x, lstm.initialState(batch)).output());
/// ```
///
/// @param weight `(out, in)`
/// @param bias `(out)`, or null for none
public record Linear(Tensor weight, @Nullable Tensor bias) {
  /// Makes a layer with a bias, in which all numbers begin as in PyTorch: uniform in ±1/√in.
  ///
  /// @param at the place of `weight` and `bias` in a store, which decides device and type
  /// @param in width of inputs, at least 1
  /// @param out width of outputs, at least 1
  /// @throws IllegalArgumentException if a width is below 1
  /// @throws IllegalStateException if the place is taken
  public Linear(Parameters.Prefix at, long in, long out) {
    this(create(at, in, out));
  }

  private Linear(Linear other) {
    this(other.weight, other.bias);
  }

  private static Linear create(Parameters.Prefix at, long in, long out) {
    Check.positive("in", in);
    Check.positive("out", out);
    Init uniform = Init.uniform(1 / Math.sqrt((double) in));
    return create(at, in, out, uniform, uniform);
  }

  static Linear create(Parameters.Prefix at, long in, long out, Init weight, @Nullable Init bias) {
    return new Linear(
        at.create("weight", weight, out, in), bias == null ? null : at.create("bias", bias, out));
  }

  /// Returns the outputs `(…, out)` in the caller's scope.
  ///
  /// @param x `(…, in)`
  public Tensor forward(Tensor x) {
    return Ops.project(x, weight, bias);
  }

  /// Outputs `[from, from + count)` only, without reading the other weights.
  Tensor forwardPart(Tensor x, long from, long count) {
    return Ops.project(
        x, weight.narrow(0, from, count), bias == null ? null : bias.narrow(0, from, count));
  }
}
