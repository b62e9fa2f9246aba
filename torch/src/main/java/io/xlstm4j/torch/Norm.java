package io.xlstm4j.torch;

/// The norm of the input of [Slstm] and [Mlstm].
public enum Norm {
  /// Layer norm over the features of each position (paper figures 10 and 11). Needs at least two
  /// features: the norm of a single one is zero, whatever it is.
  LAYER,
  /// No norm, and no parameter of one. Scale the input yourself to values of about one.
  NONE;

  /// Returns the default for an input width: [#NONE] for 1, else [#LAYER].
  static Norm defaultFor(int inputDim) {
    return inputDim == 1 ? NONE : LAYER;
  }

  /// @throws IllegalArgumentException for [#LAYER] over a single feature
  void check(int inputDim) {
    if (this == LAYER && inputDim == 1) {
      throw new IllegalArgumentException(
          "inputDim (1) cannot be normalised with Norm.LAYER: the layer norm of a single feature is"
              + " zero and nothing is learnt; use Norm.NONE");
    }
  }
}
