package io.xlstm4j.kernels.vector.math;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

class MlstmMathTest {
  private static float apply(UnaryOperator<FloatVector> function, float x) {
    return function.apply(FloatVector.broadcast(MlstmMath.LANES, x)).lane(0);
  }

  /// Largest error in units in the last place.
  private static double worst(
      UnaryOperator<FloatVector> function, DoubleUnaryOperator exact, double from, double to) {
    var random = new Random(1);
    double worst = 0;
    for (int i = 0; i < 200_000; i++) {
      float x = (float) (from + (to - from) * random.nextDouble());
      double expected = exact.applyAsDouble(x);
      double unit = Math.ulp((float) expected);
      worst = Math.max(worst, Math.abs(apply(function, x) - expected) / unit);
    }
    return worst;
  }

  @Test
  void exp_is_within_its_units_in_the_last_place() {
    assertThat(worst(MlstmMath::exp, Math::exp, -87.3, 88.7)).isLessThan(1.5);
    assertThat(worst(MlstmMath::exp, Math::exp, -1, 1)).isLessThan(1.5);
  }

  @Test
  void exp_has_the_right_ends() {
    assertThat(apply(MlstmMath::exp, 0)).isEqualTo(1);
    assertThat(apply(MlstmMath::exp, -0f)).isEqualTo(1);
    assertThat(apply(MlstmMath::exp, -100)).isZero();
    assertThat(apply(MlstmMath::exp, -1e30f)).isZero();
    assertThat(apply(MlstmMath::exp, Float.NEGATIVE_INFINITY)).isZero();
    assertThat(apply(MlstmMath::exp, 100)).isInfinite().isPositive();
    assertThat(apply(MlstmMath::exp, 1e30f)).isInfinite().isPositive();
    assertThat(apply(MlstmMath::exp, Float.POSITIVE_INFINITY)).isInfinite().isPositive();
    assertThat(apply(MlstmMath::exp, Float.NaN)).isNaN();
    for (float x : new float[] {-87.33654f, -87.3365f, 88.3f, 88.4f, 88.72283f}) {
      double error = Math.abs(apply(MlstmMath::exp, x) / Math.exp(x) - 1);
      assertThat(error).as("exp(%s)", x).isLessThan(2e-7);
    }
  }

  @Test
  void log_sigmoid_is_within_its_units_in_the_last_place() {
    DoubleUnaryOperator exact = x -> Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
    assertThat(worst(MlstmMath::logSigmoid, exact, -100, 80)).isLessThan(4);
    assertThat(worst(MlstmMath::logSigmoid, exact, -5, 5)).isLessThan(4);
    assertThat(apply(MlstmMath::logSigmoid, 100)).isZero();
    assertThat(apply(MlstmMath::logSigmoid, -100)).isEqualTo(-100);
  }
}
