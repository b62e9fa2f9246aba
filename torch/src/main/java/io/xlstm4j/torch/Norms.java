package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/// The norms of the paper family: no bias, and a stored weight w that scales by `1 + w`
/// (docs/math.md 3.1).
final class Norms {
  static final double EPS = 1e-5;

  private Norms() {}

  /// Over the last axis.
  record LayerNorm(Tensor weight) {
    static LayerNorm create(Parameters.Prefix at, long dim) {
      return new LayerNorm(at.create("weight", Init.constant(0), dim));
    }

    Tensor forward(Tensor x) {
      return Ops.normalize(x, EPS).mul(Ops.onePlus(weight));
    }
  }

  /// Over the width of each head.
  ///
  /// @param weight `(NH * DH)`, or null for none
  record MultiHeadLayerNorm(@Nullable Tensor weight) {
    static MultiHeadLayerNorm create(Parameters.Prefix at, long dim) {
      return new MultiHeadLayerNorm(at.create("weight", Init.constant(0), dim));
    }

    /// @param x `(B, S, NH, DH)`
    /// @return `(B, S, NH * DH)`
    Tensor forward(Tensor x) {
      Tensor y = Ops.normalize(x, EPS).flatten(2, 3);
      return weight == null ? y : y.mul(Ops.onePlus(weight));
    }
  }
}
