package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Every gradient of the mLSTM cell against finite differences, in float64.
class MlstmCellGradientTest {
  /// The detached stabilizer leaves out `-h eps / (N + eps)` per unit of m (docs/math.md 2.6): at
  /// eps 1e-6, with denominators above 0.05 here and several positions adding up, up to a few 1e-5
  /// times the slopes.
  private static final double TOLERANCE = 5e-5;

  private static final int LENGTH = 5;

  @ParameterizedTest(name = "{0} {1}, seed {2}")
  @CsvSource({
    "RECURRENT, 0, 3",
    "PARALLEL, 0, 3",
    "CHUNKWISE, 3, 3",
    "RECURRENT, 0, 2",
    "PARALLEL, 0, 2",
    "CHUNKWISE, 3, 2",
  })
  void equals_finite_differences_on_both_branches_of_the_denominator(
      MlstmForm form, int chunk, long seed) {
    try (var _ = new PointerScope()) {
      var draws = Draws.float64(seed);
      var sample = MlstmSample.draw(draws, 1, 2, LENGTH, 3, 2, true);
      assertBothBranchesOccur(sample);
      Tensor weightH = draws.normal(1, 1, 2, LENGTH, 2);
      Tensor weightC = draws.normal(1, 1, 2, 3, 2);
      Tensor weightN = draws.normal(1, 1, 2, 3);

      Gradients.check(
          MlstmSample.NAMES,
          sample.tensors(),
          inputs -> {
            var output = new MlstmSample(inputs).run(form, chunk, SequenceLayout.FULL);
            // c and n carry exp(-m); without it they do not depend on the detached m.
            Tensor real = output.state().m().exp(); // (B, NH)
            Tensor c = Ops.column(Ops.column(real)).mul(output.state().c());
            Tensor n = Ops.column(real).mul(output.state().n());
            return output
                .h()
                .mul(weightH)
                .sum()
                .add(c.mul(weightC).sum())
                .add(n.mul(weightN).sum());
          },
          TOLERANCE);
    }
  }

  /// Some denominators above their floor, some below, none so near that a difference crosses.
  private static void assertBothBranchesOccur(MlstmSample sample) {
    Tensor q = sample.tensors().get(0);
    int above = 0;
    int below = 0;
    var state = sample.initial();
    for (long t = 0; t < LENGTH; t++) {
      var x = sample.tensors();
      state =
          MlstmCell.step(
                  q.select(2, t),
                  x.get(1).select(2, t),
                  x.get(2).select(2, t),
                  x.get(3).select(2, t),
                  x.get(4).select(2, t),
                  state)
              .state();
      Tensor product = Ops.times(q.select(2, t).mul(state.n()).sum(-1L), 1 / Math.sqrt(3));
      double[] sizes = Tensors.doubles(product.abs());
      double[] floors = Tensors.doubles(state.m().neg().exp());
      for (int i = 0; i < sizes.length; i++) {
        assertThat(Math.abs(sizes[i] - floors[i])).isGreaterThan(1e-3);
        assertThat(Math.max(sizes[i], floors[i])).isGreaterThan(0.05);
        if (sizes[i] > floors[i]) {
          above++;
        } else {
          below++;
        }
      }
    }
    assertThat(above).as("denominators above the floor").isGreaterThan(1);
    assertThat(below).as("denominators on the floor").isGreaterThan(1);
  }
}
