package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// `x Wᵀ + b` with W `(out, in)`, in the type of x.
record Linear(Tensor weight, @Nullable Tensor bias) {
  static Linear create(Parameters.Prefix at, long in, long out, Init weight, @Nullable Init bias) {
    return new Linear(
        at.create("weight", weight, out, in), bias == null ? null : at.create("bias", bias, out));
  }

  Tensor forward(Tensor x) {
    return Ops.project(x, weight, bias);
  }

  /// Outputs `[from, from + count)` only, without reading the other weights.
  Tensor forwardPart(Tensor x, long from, long count) {
    return Ops.project(
        x, weight.narrow(0, from, count), bias == null ? null : bias.narrow(0, from, count));
  }
}
