package io.xlstm4j.kernels;

/// An activation function of the gated feed-forward (docs/math.md 3.3).
public enum Activation {
  /// Exact, by the error function.
  GELU,
  RELU,
  RELU_SQUARED,
  SIGMOID,
  /// `x sigmoid(x)`, also called SiLU.
  SWISH,
  SELU;

  public static final double SELU_ALPHA = 1.6732632423543772;
  public static final double SELU_SCALE = 1.0507009873554805;
}
