package io.xlstm4j.cuda.slstm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/// The reference that the GPU's results are compared with is itself compared with finite
/// differences.
class SlstmReferenceTest {
  private static final SlstmShape SHAPE = new SlstmShape(2, 4, 2, 3);
  private static final double STEP = 1e-6;

  private final Random random = new Random(5);
  private final double[] wx = gaussian((int) SHAPE.gateValues());
  private final double[] r = gaussian((int) SHAPE.kernelValues());
  private final double[] bias = gaussian((int) SHAPE.biasValues());
  private final double[] initial = gaussian(4 * (int) SHAPE.stateValues());
  private final double[] dy = gaussian((int) SHAPE.outputValues());
  private final double[] dLast = gaussian(initial.length);
  private final boolean[] valid = {true, true, false, true, false, true, true, true};
  private final boolean[] starts = {false, true, false, false, false, false, false, true};

  private double[] gaussian(int count) {
    var values = new double[count];
    Arrays.setAll(values, _ -> random.nextGaussian());
    return values;
  }

  private SlstmReference run() {
    return new SlstmReference(SHAPE, wx, r, bias, initial, valid, starts);
  }

  private double loss() {
    SlstmReference result = run();
    double loss = 0;
    for (int i = 0; i < dy.length; i++) {
      loss += dy[i] * result.y[i];
    }
    for (int i = 0; i < dLast.length; i++) {
      loss += dLast[i] * result.last[i];
    }
    return loss;
  }

  @Test
  void its_gradients_are_those_of_finite_differences() {
    int states = (int) SHAPE.stateValues();
    for (int i = 2 * states; i < 3 * states; i++) {
      initial[i] = 1 + Math.abs(initial[i]); // n, as a cell leaves it
    }
    SlstmReference result = run();
    result.backward(dy, dLast);

    compare(wx, result.dwx);
    compare(r, result.dr);
    compare(bias, result.dbias);
    compare(initial, result.dInitial);
  }

  private void compare(double[] input, double[] gradient) {
    for (int i = 0; i < input.length; i++) {
      double before = input[i];
      input[i] = before + STEP;
      double above = loss();
      input[i] = before - STEP;
      double below = loss();
      input[i] = before;
      assertThat(gradient[i]).isCloseTo((above - below) / (2 * STEP), within(1e-6));
    }
  }

  @Test
  void padding_leaves_the_state_and_a_start_clears_it() {
    SlstmReference result = run();
    int units = (int) SHAPE.units();
    assertThat(Arrays.copyOfRange(result.y, 2 * units, 3 * units)).containsOnly(0);
    double[] other = initial.clone();
    Arrays.setAll(initial, i -> i < units ? 7 : other[i]); // y of the first sequence
    SlstmReference changed = run();
    assertThat(Arrays.copyOfRange(changed.y, 0, units))
        .isNotEqualTo(Arrays.copyOfRange(result.y, 0, units));
    assertThat(Arrays.copyOfRange(changed.y, units, 4 * units))
        .isEqualTo(Arrays.copyOfRange(result.y, units, 4 * units));
  }
}
