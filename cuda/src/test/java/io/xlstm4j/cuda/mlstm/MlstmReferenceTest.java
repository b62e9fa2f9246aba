package io.xlstm4j.cuda.mlstm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The reference that the GPU's results are compared with is itself compared with finite
/// differences. Without the small number in the denominator h does not depend on m.
class MlstmReferenceTest {
  private static final MlstmShape SHAPE = new MlstmShape(2, 5, 2, 3, 4);
  private static final double STEP = 1e-6;

  private final Random random = new Random(7);
  private final double[][] inputs = {
    gaussian(SHAPE.qkValues()),
    gaussian(SHAPE.qkValues()),
    gaussian(SHAPE.vValues()),
    gaussian(SHAPE.gateValues()),
    gaussian(SHAPE.gateValues())
  };
  private final double[][] initial = {
    gaussian(SHAPE.cValues()), gaussian(SHAPE.nValues()), gaussian(SHAPE.mValues())
  };
  private final double[] dh = gaussian(SHAPE.vValues());
  private final boolean[] valid = {true, true, false, true, true, false, true, true, true, false};
  private final boolean[] starts = {
    false, false, false, true, false, false, false, false, false, false
  };

  private double[] gaussian(long count) {
    var values = new double[(int) count];
    Arrays.setAll(values, _ -> random.nextGaussian());
    return values;
  }

  private MlstmReference run() {
    return new MlstmReference(SHAPE, 0, inputs, initial, valid, starts);
  }

  /// The final C and n stand without their factor exp(-m), which is a constant to the gradients.
  private double loss(double[] dC, double[] dN) {
    MlstmReference result = run();
    double loss = 0;
    for (int i = 0; i < dh.length; i++) {
      loss += dh[i] * result.h[i];
    }
    for (int pair = 0; pair < SHAPE.pairs(); pair++) {
      double factor = Math.exp(result.lastM[pair]);
      for (int i = 0; i < 12; i++) {
        loss += factor * dC[pair * 12 + i] * result.lastC[pair * 12 + i];
      }
      for (int i = 0; i < 3; i++) {
        loss += factor * dN[pair * 3 + i] * result.lastN[pair * 3 + i];
      }
    }
    return loss;
  }

  @Test
  void its_gradients_are_those_of_finite_differences() {
    double[] dC = gaussian(SHAPE.cValues());
    double[] dN = gaussian(SHAPE.nValues());
    MlstmReference result = run();
    double[] scaledC = dC.clone();
    double[] scaledN = dN.clone();
    for (int pair = 0; pair < SHAPE.pairs(); pair++) {
      double factor = Math.exp(result.lastM[pair]);
      for (int i = 0; i < 12; i++) {
        scaledC[pair * 12 + i] *= factor;
      }
      for (int i = 0; i < 3; i++) {
        scaledN[pair * 3 + i] *= factor;
      }
    }
    result.backward(dh, scaledC, scaledN);
    double[][] gradients = {result.dq, result.dk, result.dv, result.digate, result.dfgate};
    for (int i = 0; i < inputs.length; i++) {
      compare(inputs[i], gradients[i], dC, dN);
    }
    compare(initial[0], result.dC0, dC, dN);
    compare(initial[1], result.dN0, dC, dN);
  }

  private void compare(double[] input, double[] gradient, double[] dC, double[] dN) {
    for (int i = 0; i < input.length; i++) {
      double before = input[i];
      input[i] = before + STEP;
      double above = loss(dC, dN);
      input[i] = before - STEP;
      double below = loss(dC, dN);
      input[i] = before;
      assertThat(gradient[i]).isCloseTo((above - below) / (2 * STEP), within(2e-6));
    }
  }

  @Test
  void padding_gives_no_output_and_a_start_forgets() {
    MlstmReference result = run();
    int width = SHAPE.heads() * SHAPE.vDim();
    assertThat(Arrays.copyOfRange(result.h, 2 * width, 3 * width)).containsOnly(0);
    inputs[1][0] += 1; // k of the first token of the first sequence
    MlstmReference changed = run();
    assertThat(Arrays.copyOfRange(changed.h, 0, width))
        .isNotEqualTo(Arrays.copyOfRange(result.h, 0, width));
    assertThat(Arrays.copyOfRange(changed.h, 3 * width, 5 * width))
        .isEqualTo(Arrays.copyOfRange(result.h, 3 * width, 5 * width));
  }
}
