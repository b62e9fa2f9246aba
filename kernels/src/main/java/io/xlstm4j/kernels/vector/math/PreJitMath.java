package io.xlstm4j.kernels.vector.math;

import jdk.incubator.vector.FloatVector;

/// One lane of [VectorMath] and of vector sums, with the same bits, in plain Java: for the time
/// until the Vector API is compiled, and for what is left after the last whole vector.
public final class PreJitMath {
  /// Lanes of a vector.
  public static final int LANES = FloatVector.SPECIES_PREFERRED.length();

  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 355f / 512;
  private static final float LN2_LOW = -2.1219444e-4f;
  private static final float ROUND = 12582912f;
  private static final int ONE_BITS = 0x3F800000;
  private static final float TINY = -88;

  private PreJitMath() {}

  /// `count` rounded up to whole vectors.
  public static int padded(int count) {
    return Math.ceilDiv(count, LANES) * LANES;
  }

  /// [MlstmMath#sum] of `LANES` numbers from `at` on, which are lost.
  public static float sum(float[] lanes, int offset) {
    int half = LANES;
    if (LANES > 16) {
      float sum = 0;
      for (int i = 0; i < LANES; i++) {
        sum += lanes[offset + i];
      }
      return sum;
    }
    while (half > 1) {
      half /= 2;
      for (int i = 0; i < half; i++) {
        lanes[offset + i] += lanes[offset + half + i];
      }
    }
    return lanes[offset];
  }

  public static float expOfNegative(float x) {
    float bounded = x < TINY ? TINY : x;
    float rounded = Math.fma(bounded, LOG2_E, ROUND);
    float scale = powerOfTwo(rounded);
    return Math.fma(powerMinusOne(bounded, rounded), scale, scale);
  }

  public static float expm1OfNegative(float x) {
    float bounded = x < TINY ? TINY : x;
    float rounded = Math.fma(bounded, LOG2_E, ROUND);
    float scale = powerOfTwo(rounded);
    return Math.fma(powerMinusOne(bounded, rounded), scale, scale - 1f);
  }

  public static float log1pOfUnit(float x) {
    float u = x / (x + 2f);
    float v = u * u;
    float p =
        Math.fma(Math.fma(Math.fma(0.2842926f, v, 0.2790653f), v, 0.40028295f), v, 0.6666627f);
    return Math.fma(p * v, u, u + u);
  }

  public static float tanh(float x) {
    float em1 = expm1OfNegative(Math.abs(x) * -2f);
    float magnitude = em1 / (em1 + 2f); // -tanh |x|
    return x >= 0f ? -magnitude : magnitude;
  }

  public static float sigmoid(float x) {
    float e = expOfNegative(-Math.abs(x));
    return (x >= 0f ? 1f : e) / (e + 1f);
  }

  public static float normalCdf(float x, float density) {
    float t = 1f / Math.fma(Math.abs(x), 0.35f, 1f);
    float p = Math.fma(-0.029146135f, t, 0.14397267f);
    p = Math.fma(p, t, -0.25571626f);
    p = Math.fma(p, t, 0.15917644f);
    p = Math.fma(p, t, -0.023111375f);
    p = Math.fma(p, t, 0.10550865f);
    p = Math.fma(p, t, 0.11983271f);
    p = Math.fma(p, t, 0.1398619f);
    p = Math.fma(p, t, 0.1396214f);
    float below = p * t * density; // at -|x|
    return x > 0f ? 1f - below : below;
  }

  private static float powerMinusOne(float x, float rounded) {
    float k = rounded - ROUND;
    float r = Math.fma(k, -LN2_LOW, Math.fma(k, -LN2_HIGH, x));
    float p = Math.fma(0.0013950771f, r, 0.008369053f);
    p = Math.fma(p, r, 0.0416662f);
    p = Math.fma(p, r, 0.16666518f);
    p = Math.fma(p, r, 0.5f);
    return Math.fma(p * r, r, r);
  }

  private static float powerOfTwo(float rounded) {
    return Float.intBitsToFloat((Float.floatToRawIntBits(rounded) << 23) + ONE_BITS);
  }
}
