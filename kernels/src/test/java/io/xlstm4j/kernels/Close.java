package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

/// Comparison of arrays by their largest difference.
public final class Close {
  private Close() {}

  /// No element is further from the expected one than `tolerance` times the largest expected
  /// magnitude, or times 0.01 if that is less. Elements expected to be NaN are not compared.
  public static void assertClose(
      String name, double[] actual, double[] expected, double tolerance) {
    assertThat(actual).as(name).hasSameSizeAs(expected);
    double scale = 0.01;
    for (double e : expected) {
      scale = Double.isNaN(e) ? scale : Math.max(scale, Math.abs(e));
    }
    for (int i = 0; i < actual.length; i++) {
      if (!Double.isNaN(expected[i])) {
        double error = Math.abs(actual[i] - expected[i]);
        assertThat(error <= tolerance * scale)
            .as("%s[%d] is %s, expected %s", name, i, actual[i], expected[i])
            .isTrue();
      }
    }
  }
}
