package io.xlstm4j.kernels.vector.math;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.reference.ScalarGatedFeedForwardKernel;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

class VectorMathTest {
  private static final double ULP = Math.scalb(1.0, -23); // of 1, relative

  @Test
  void exp_is_within_two_ulp_and_ends_in_zero_and_infinity() {
    assertClose(VectorMath::exp, Math::exp, -87, 88.7, 2 * ULP);
    assertThat(at(VectorMath::exp, -100)).isEqualTo((float) Math.exp(-100)); // subnormal
    assertThat(at(VectorMath::exp, 100)).isEqualTo(Float.POSITIVE_INFINITY);
    assertThat(at(VectorMath::exp, -200)).isZero();
    assertThat(at(VectorMath::exp, Float.NEGATIVE_INFINITY)).isZero();
    assertThat(at(VectorMath::exp, Float.POSITIVE_INFINITY)).isEqualTo(Float.POSITIVE_INFINITY);
    assertThat(at(VectorMath::exp, 0)).isOne();
    assertThat(at(VectorMath::exp, Float.NaN)).isNaN();
  }

  @Test
  void exp_of_negative_is_within_two_ulp_and_zero_below_normal_floats() {
    assertClose(VectorMath::expOfNegative, Math::exp, -87.3, 0, 2 * ULP);
    assertThat(at(VectorMath::expOfNegative, -100)).isZero();
    assertThat(at(VectorMath::expOfNegative, Float.NEGATIVE_INFINITY)).isZero();
    assertThat(at(VectorMath::expOfNegative, 0)).isOne();
    assertThat(at(VectorMath::expOfNegative, Float.NaN)).isNaN();
  }

  @Test
  void expm1_of_negative_is_within_two_ulp_also_near_zero() {
    assertClose(VectorMath::expm1OfNegative, Math::expm1, -100, 0, 2 * ULP);
    assertClose(VectorMath::expm1OfNegative, Math::expm1, -1e-3, 0, 2 * ULP);
    assertThat(at(VectorMath::expm1OfNegative, Float.NEGATIVE_INFINITY)).isEqualTo(-1);
  }

  @Test
  void log1p_of_unit_is_within_two_ulp() {
    assertClose(VectorMath::log1pOfUnit, Math::log1p, 0, 1, 2 * ULP);
    assertClose(VectorMath::log1pOfUnit, Math::log1p, 0, 1e-4, 2 * ULP);
    assertThat(at(VectorMath::log1pOfUnit, 0)).isZero();
  }

  @Test
  void tanh_and_sigmoid_are_within_four_ulp() {
    assertClose(VectorMath::tanh, Math::tanh, -20, 20, 4 * ULP);
    assertClose(VectorMath::tanh, Math::tanh, -1e-2, 1e-2, 4 * ULP);
    assertClose(VectorMath::sigmoid, x -> 1 / (1 + Math.exp(-x)), -87, 30, 4 * ULP);
    for (float end : new float[] {100, Float.POSITIVE_INFINITY}) {
      assertThat(at(VectorMath::tanh, end)).isOne();
      assertThat(at(VectorMath::tanh, -end)).isEqualTo(-1);
      assertThat(at(VectorMath::sigmoid, end)).isOne();
      assertThat(at(VectorMath::sigmoid, -end)).isZero();
    }
  }

  @Test
  void normal_cdf_is_within_two_ten_millionths_absolute_and_a_millionth_relative() {
    UnaryOperator<FloatVector> cdf =
        x -> VectorMath.normalCdf(x, VectorMath.expOfNegative(x.mul(x).mul(-0.5f)));
    assertClose(cdf, ScalarGatedFeedForwardKernel::normalCdf, -5, 9, 1e-6);
    for (float x = -9; x <= 9; x += 1e-3f) {
      double error = at(cdf, x) - ScalarGatedFeedForwardKernel.normalCdf(x);
      assertThat(Math.abs(error)).as("absolute error at %s", x).isLessThanOrEqualTo(2e-7);
    }
  }

  /// Relative error over points drawn from the range.
  private static void assertClose(
      UnaryOperator<FloatVector> actual,
      DoubleUnaryOperator expected,
      double from,
      double to,
      double tolerance) {
    var random = new Random(1);
    double worst = 0;
    float worstOffset = 0;
    for (int i = 0; i < 20_000; i++) {
      float x = (float) (from + (to - from) * random.nextDouble());
      double exact = expected.applyAsDouble(x);
      double error = exact == 0 ? 0 : Math.abs(at(actual, x) / exact - 1);
      if (error > worst) {
        worst = error;
        worstOffset = x;
      }
    }
    assertThat(worst).as("relative error at %s", worstOffset).isLessThanOrEqualTo(tolerance);
  }

  private static float at(UnaryOperator<FloatVector> function, float x) {
    return function.apply(FloatVector.broadcast(VectorMath.LANES, x)).lane(0);
  }
}
