package io.xlstm4j.kernels.vector.math;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// Elementary functions on vectors.
public final class MlstmMath {
  public static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;

  private static final VectorShuffle<Float> BY_8 = rotation(8);
  private static final VectorShuffle<Float> BY_4 = rotation(4);
  private static final VectorShuffle<Float> BY_2 = rotation(2);

  /// Lane i takes lane i + `by`, around.
  private static VectorShuffle<Float> rotation(int by) {
    return VectorShuffle.iota(LANES, by % LANES.length(), 1, true);
  }

  /// The floats of whole vectors that hold `width`.
  public static int wholeVectors(int width) {
    return Math.ceilDiv(width, LANES.length()) * LANES.length();
  }

  /// `exp` is 0 below: its result would be subnormal, which slows what reads it.
  private static final float EXP_LOWEST = -87.33654f; // log(2^-126)

  private static final float EXP_HIGHEST = 88.72284f; // above, infinity
  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 0x1.62ep-1f; // 12 bits, so that its products are exact
  private static final float LN2_LOW = (float) (Math.log(2) - LN2_HIGH);

  /// Adding it rounds a float in `[-2^22, 2^22]` to an integer, held in the low bits.
  private static final float ROUNDER = 0x1.8p23f;

  // Vectors once and for all: made anew in a long method they end up on the heap.
  private static final FloatVector ZERO = broadcast(0);
  private static final FloatVector ONE = broadcast(1);
  private static final FloatVector INFINITY = broadcast(Float.POSITIVE_INFINITY);
  private static final FloatVector LOWEST = broadcast(EXP_LOWEST);
  private static final FloatVector HIGHEST = broadcast(EXP_HIGHEST);
  private static final FloatVector ROUNDER_ = broadcast(ROUNDER);
  private static final FloatVector LOG2_E_ = broadcast(LOG2_E);
  private static final FloatVector MINUS_LN2_HIGH = broadcast(-LN2_HIGH);
  private static final FloatVector MINUS_LN2_LOW = broadcast(-LN2_LOW);

  private static final FloatVector EXP_7 = broadcast(1f / 5040);
  private static final FloatVector EXP_6 = broadcast(1f / 720);
  private static final FloatVector EXP_5 = broadcast(1f / 120);
  private static final FloatVector EXP_4 = broadcast(1f / 24);
  private static final FloatVector EXP_3 = broadcast(1f / 6);
  private static final FloatVector EXP_2 = broadcast(0.5f);

  private static final FloatVector LOG_15 = broadcast(2f / 15);
  private static final FloatVector LOG_13 = broadcast(2f / 13);
  private static final FloatVector LOG_11 = broadcast(2f / 11);
  private static final FloatVector LOG_9 = broadcast(2f / 9);
  private static final FloatVector LOG_7 = broadcast(2f / 7);
  private static final FloatVector LOG_5 = broadcast(2f / 5);
  private static final FloatVector LOG_3 = broadcast(2f / 3);
  private static final FloatVector LOG_1 = broadcast(2);

  private MlstmMath() {}

  private static FloatVector broadcast(float value) {
    return FloatVector.broadcast(LANES, value);
  }

  /// e^x within 1.5 units in the last place; 0 where that is subnormal.
  ///
  /// `x = n log 2 + r`, `|r| <= log(2)/2`; Taylor's series of e^r to r^7 leaves 6e-9.
  public static FloatVector exp(FloatVector x) {
    var shifted = x.fma(LOG2_E_, ROUNDER_);
    var n = shifted.sub(ROUNDER_);
    var r = n.fma(MINUS_LN2_HIGH, x);
    r = n.fma(MINUS_LN2_LOW, r);
    var p = EXP_7.fma(r, EXP_6).fma(r, EXP_5).fma(r, EXP_4).fma(r, EXP_3).fma(r, EXP_2);
    p = p.fma(r, ONE).fma(r, ONE);
    // 2^n by adding n to the exponent; p is in [0.7, 1.42], so n = 128 and p < 1 stay finite.
    var power = shifted.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
    var result = p.reinterpretAsInts().add(power).reinterpretAsFloats();
    result = result.blend(ZERO, x.compare(VectorOperators.LT, LOWEST));
    return result.blend(INFINITY, x.compare(VectorOperators.GT, HIGHEST));
  }

  /// `log(1 + x)` for x in `[0, 1]` within 3 units in the last place.
  ///
  /// `2 artanh(z)`, `z = x / (2 + x) <= 1/3`, by its series to z^15, which leaves 1e-9 of it.
  static FloatVector log1p(FloatVector x) {
    var z = x.div(x.add(2f));
    var z2 = z.mul(z);
    var p = LOG_15.fma(z2, LOG_13).fma(z2, LOG_11).fma(z2, LOG_9).fma(z2, LOG_7);
    p = p.fma(z2, LOG_5).fma(z2, LOG_3).fma(z2, LOG_1);
    return p.mul(z);
  }

  /// `log(1 / (1 + e^-x))`.
  public static FloatVector logSigmoid(FloatVector x) {
    return x.min(0f).sub(log1p(exp(x.abs().neg())));
  }

  /// The sum over the lanes, in an order of its own: `reduceLanes` leaves the order to the
  /// compiler, so its bits change when a method is compiled.
  public static float sum(FloatVector v) {
    if (LANES.length() > 16) { // no such machine was at hand
      float sum = 0;
      for (float lane : v.toArray()) {
        sum += lane;
      }
      return sum;
    }
    FloatVector folded = v;
    if (LANES.length() >= 16) {
      folded = folded.add(folded.rearrange(BY_8));
    }
    if (LANES.length() >= 8) {
      folded = folded.add(folded.rearrange(BY_4));
    }
    if (LANES.length() >= 4) {
      folded = folded.add(folded.rearrange(BY_2));
    }
    return folded.lane(0) + folded.lane(1 % LANES.length());
  }
}
