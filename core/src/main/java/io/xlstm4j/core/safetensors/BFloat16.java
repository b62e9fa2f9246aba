package io.xlstm4j.core.safetensors;

/// bfloat16, the upper 16 bits of an IEEE float. For IEEE half see [Float#float16ToFloat] and
/// [Float#floatToFloat16].
public final class BFloat16 {
  private BFloat16() {}

  /// The exact value of `bits`.
  public static float toFloat(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /// The bits of the nearest bfloat16, ties to even. Values beyond the largest become infinite; NaN
  /// stays NaN, with its sign and the upper bits of its payload.
  public static short fromFloat(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      // Quiet: else a payload in the lower half only would be cut to infinity.
      return (short) (bits >>> 16 | 0x40);
    }
    int halfMinusTie = 0x7fff + (bits >>> 16 & 1);
    return (short) ((bits + halfMinusTie) >>> 16);
  }
}
