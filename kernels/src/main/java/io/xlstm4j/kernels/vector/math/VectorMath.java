package io.xlstm4j.kernels.vector.math;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// Elementary functions on float vectors, as polynomials after range reduction.
///
/// Errors are relative to the exact value and hold over the whole stated range. Each is short
/// enough to be inlined: a vector that leaves a compiled method is an object on the heap.
public final class VectorMath {
  public static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;

  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 355f / 512; // few bits, so that k * LN2_HIGH is exact
  private static final float LN2_LOW = -2.1219444e-4f;
  private static final float ROUND = 12582912f; // 1.5 * 2^23: adding it rounds to an integer
  private static final int ROUND_BITS = 0x4B400000;
  private static final int ONE_BITS = 0x3F800000;

  /// Below this, exp is under the least normal float.
  private static final float TINY = -88;

  // Constants are vectors once and for all: made anew in a long method they end up on the heap.
  private static final FloatVector ONE = broadcast(1f);
  private static final FloatVector LOG2_E_ = broadcast(LOG2_E);
  private static final FloatVector ROUND_ = broadcast(ROUND);
  private static final FloatVector MINUS_LN2_HIGH = broadcast(-LN2_HIGH);
  private static final FloatVector MINUS_LN2_LOW = broadcast(-LN2_LOW);
  private static final IntVector EXPONENT_OF_ONE = IntVector.broadcast(INTS, ONE_BITS);

  private static final FloatVector EXP_5 = broadcast(0.0013950771f);
  private static final FloatVector EXP_4 = broadcast(0.008369053f);
  private static final FloatVector EXP_3 = broadcast(0.0416662f);
  private static final FloatVector EXP_2 = broadcast(0.16666518f);
  private static final FloatVector EXP_1 = broadcast(0.5f);

  private static final FloatVector LOG_3 = broadcast(0.2842926f);
  private static final FloatVector LOG_2 = broadcast(0.2790653f);
  private static final FloatVector LOG_1 = broadcast(0.40028295f);
  private static final FloatVector LOG_0 = broadcast(0.6666627f);

  private static final FloatVector CDF_SCALE = broadcast(0.35f);
  private static final FloatVector CDF_8 = broadcast(-0.029146135f);
  private static final FloatVector CDF_7 = broadcast(0.14397267f);
  private static final FloatVector CDF_6 = broadcast(-0.25571626f);
  private static final FloatVector CDF_5 = broadcast(0.15917644f);
  private static final FloatVector CDF_4 = broadcast(-0.023111375f);
  private static final FloatVector CDF_3 = broadcast(0.10550865f);
  private static final FloatVector CDF_2 = broadcast(0.11983271f);
  private static final FloatVector CDF_1 = broadcast(0.1398619f);
  private static final FloatVector CDF_0 = broadcast(0.1396214f);

  private VectorMath() {}

  /// The vector that starts at `index`.
  public static FloatVector at(float[] from, int index) {
    return FloatVector.fromArray(LANES, from, index);
  }

  /// exp(x) for any x, within 2 ulp; subnormal, 0 and infinity where they belong.
  static FloatVector exp(FloatVector x) {
    FloatVector low = x.blend(-104f, x.compare(VectorOperators.LT, -104f));
    FloatVector bounded = low.blend(89f, low.compare(VectorOperators.GT, 89f));
    FloatVector rounded = bounded.fma(LOG2_E_, ROUND_);
    IntVector k = rounded.reinterpretAsInts().sub(ROUND_BITS);
    IntVector half = k.lanewise(VectorOperators.ASHR, 1);
    FloatVector p = powerMinusOne(bounded, rounded).add(1f);
    return p.mul(powerOfTwo(half)).mul(powerOfTwo(k.sub(half)));
  }

  /// exp(x) for x <= 0, within 2 ulp; 0 where exp is below the least normal float.
  public static FloatVector expOfNegative(FloatVector x) {
    FloatVector bounded = x.blend(TINY, x.compare(VectorOperators.LT, TINY));
    FloatVector rounded = bounded.fma(LOG2_E_, ROUND_);
    FloatVector scale = powerOfTwo(rounded.reinterpretAsInts());
    return powerMinusOne(bounded, rounded).fma(scale, scale);
  }

  /// exp(x) - 1 for x <= 0, within 2 ulp also near zero.
  public static FloatVector expm1OfNegative(FloatVector x) {
    FloatVector bounded = x.blend(TINY, x.compare(VectorOperators.LT, TINY));
    FloatVector rounded = bounded.fma(LOG2_E_, ROUND_);
    FloatVector scale = powerOfTwo(rounded.reinterpretAsInts());
    return powerMinusOne(bounded, rounded).fma(scale, scale.sub(1f));
  }

  /// log(1 + x) for x in [0, 1], within 2 ulp: 2 atanh(u), u = x / (2 + x).
  public static FloatVector log1pOfUnit(FloatVector x) {
    FloatVector u = x.div(x.add(2f));
    FloatVector v = u.mul(u);
    FloatVector p = LOG_3.fma(v, LOG_2).fma(v, LOG_1).fma(v, LOG_0);
    return p.mul(v).fma(u, u.add(u));
  }

  /// tanh(x), within 4 ulp.
  public static FloatVector tanh(FloatVector x) {
    FloatVector em1 = expm1OfNegative(x.abs().mul(-2f));
    FloatVector magnitude = em1.div(em1.add(2f)); // -tanh |x|
    return magnitude.blend(magnitude.neg(), x.compare(VectorOperators.GE, 0f));
  }

  /// 1 / (1 + exp(-x)), within 4 ulp where it is a normal float.
  public static FloatVector sigmoid(FloatVector x) {
    FloatVector e = expOfNegative(x.abs().neg());
    return e.blend(1f, x.compare(VectorOperators.GE, 0f)).div(e.add(1f));
  }

  /// The standard normal's distribution function, `(1 + erf(x / sqrt 2)) / 2`, given `density =
  /// exp(-x²/2)`: within 2e-7 absolute, and within 1e-6 relative for x >= -5. The polynomial alone
  /// is good to 4e-8 relative; the rest is rounding, far below zero that of x².
  public static FloatVector normalCdf(FloatVector x, FloatVector density) {
    FloatVector t = ONE.div(x.abs().fma(CDF_SCALE, ONE));
    FloatVector p =
        CDF_8
            .fma(t, CDF_7)
            .fma(t, CDF_6)
            .fma(t, CDF_5)
            .fma(t, CDF_4)
            .fma(t, CDF_3)
            .fma(t, CDF_2)
            .fma(t, CDF_1)
            .fma(t, CDF_0);
    FloatVector below = p.mul(t).mul(density); // at -|x|
    VectorMask<Float> positive = x.compare(VectorOperators.GT, 0f);
    return below.blend(ONE.sub(below), positive);
  }

  private static FloatVector broadcast(float value) {
    return FloatVector.broadcast(LANES, value);
  }

  /// exp(r) - 1, r = x - k ln 2 with the k that `rounded` holds; |r| <= ln(2) / 2.
  private static FloatVector powerMinusOne(FloatVector x, FloatVector rounded) {
    FloatVector k = rounded.sub(ROUND);
    FloatVector r = k.fma(MINUS_LN2_LOW, k.fma(MINUS_LN2_HIGH, x));
    FloatVector p = EXP_5.fma(r, EXP_4).fma(r, EXP_3).fma(r, EXP_2).fma(r, EXP_1);
    return p.mul(r).fma(r, r);
  }

  /// 2^k for k in [-127, 127], 0 for -127; only the low nine bits of `k` count.
  private static FloatVector powerOfTwo(IntVector k) {
    return k.lanewise(VectorOperators.LSHL, 23).add(EXPONENT_OF_ONE).reinterpretAsFloats();
  }
}
