package io.xlstm4j.core.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// A projection by independent square or widening blocks (docs/math.md 1.3 and 3.6).
///
/// @param inFeatures width in
/// @param numHeads how many blocks; divides both widths
/// @param expandFactorUp width out as a multiple of the width in; default 1
/// @param bias whether there is a bias; default true, the layers say false
public record LinearHeadwiseExpandConfig(
    int inFeatures, int numHeads, double expandFactorUp, boolean bias) {
  public LinearHeadwiseExpandConfig {
    Check.positive("inFeatures", inFeatures);
    Check.positive("expandFactorUp", expandFactorUp);
    Check.divides("numHeads", numHeads, "inFeatures", inFeatures);
    Check.divides("numHeads", numHeads, "outFeatures", Math.round(expandFactorUp * inFeatures));
  }

  public static LinearHeadwiseExpandConfig of(int inFeatures, int numHeads, boolean bias) {
    return new LinearHeadwiseExpandConfig(inFeatures, numHeads, 1.0, bias);
  }

  /// Width out.
  public int outFeatures() {
    return (int) Math.round(expandFactorUp * inFeatures);
  }

  public LinearHeadwiseExpandConfig withInFeatures(int value) {
    return RecordComponents.with(this, "inFeatures", value);
  }

  public LinearHeadwiseExpandConfig withNumHeads(int value) {
    return RecordComponents.with(this, "numHeads", value);
  }

  public LinearHeadwiseExpandConfig withExpandFactorUp(double value) {
    return RecordComponents.with(this, "expandFactorUp", value);
  }

  public LinearHeadwiseExpandConfig withBias(boolean value) {
    return RecordComponents.with(this, "bias", value);
  }
}
