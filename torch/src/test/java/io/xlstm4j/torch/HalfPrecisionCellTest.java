package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The mLSTM cell on queries, keys and values of a half type, against the same numbers in float32.
class HalfPrecisionCellTest {
  /// bfloat16 has 8 bits, so 2^-9 for each rounding; a result passes through five of them, and sums
  /// of both signs lose some.
  private static final double BFLOAT16 = 3e-2;

  private record Pass(MlstmCell.Output output, List<Tensor> gradients) {}

  /// @param half of q, k and v; the rest is float32
  private static Pass pass(
      MlstmForm form,
      int chunk,
      MlstmSample sample,
      ScalarType half,
      Tensor weightH,
      Tensor weightC) {
    var leaves = new ArrayList<Tensor>();
    for (int i = 0; i < sample.tensors().size(); i++) {
      Tensor rounded = sample.tensors().get(i);
      if (i < 3) {
        rounded = rounded.to(ScalarType.BFloat16).to(half); // the same numbers in both passes
      }
      leaves.add(new Tensor(rounded.detach().clone().set_requires_grad(i < 7)));
    }
    MlstmCell.Output output = new MlstmSample(leaves).run(form, chunk, SequenceLayout.FULL);
    Tensor loss =
        output
            .h()
            .to(ScalarType.Float)
            .mul(weightH)
            .sum()
            .add(output.state().c().mul(weightC).sum());
    loss.backward();
    return new Pass(output, leaves.stream().limit(7).map(Gradients::of).toList());
  }

  @ParameterizedTest(name = "{0}, {1} positions, chunks of {2}")
  @CsvSource({
    "CHUNKWISE, 1, 4",
    "CHUNKWISE, 37, 16",
    "CHUNKWISE, 64, 16",
    "PARALLEL, 19, 16",
    "RECURRENT, 19, 16"
  })
  void outputs_states_and_gradients_are_those_of_float32_within_the_rounding(
      MlstmForm form, int length, int chunk) {
    try (var _ = new PointerScope()) {
      var draws = new Draws(length, ScalarType.Float);
      MlstmSample sample = MlstmSample.draw(draws, 2, 2, length, 16, 8, true);
      Tensor weightH = draws.normal(1, 2, 2, length, 8);
      Tensor weightC = draws.normal(1, 2, 2, 16, 8);
      Pass half = pass(form, chunk, sample, ScalarType.BFloat16, weightH, weightC);
      Pass wide = pass(form, chunk, sample, ScalarType.Float, weightH, weightC);

      assertThat(half.output.h().scalar_type().intern()).isEqualTo(ScalarType.BFloat16);
      assertThat(half.output.state().tensors())
          .allMatch(part -> part.scalar_type().intern() == ScalarType.Float);
      List<String> outputs = List.of("h", "c", "n", "m");
      for (int i = 0; i < outputs.size(); i++) {
        Golden.assertCloseRelative(
            outputs.get(i), half.output.tensors().get(i), wide.output.tensors().get(i), BFLOAT16);
      }
      for (int i = 0; i < half.gradients.size(); i++) {
        boolean narrow = i < 3;
        assertThat(half.gradients.get(i).scalar_type().intern())
            .isEqualTo(narrow ? ScalarType.BFloat16 : ScalarType.Float);
        Golden.assertCloseRelative(
            "gradient of " + MlstmSample.NAMES.get(i),
            half.gradients.get(i),
            wide.gradients.get(i),
            BFLOAT16);
      }
    }
  }

  @Test
  void a_sequence_in_two_parts_is_the_whole() {
    try (var _ = new PointerScope()) {
      var draws = new Draws(5, ScalarType.BFloat16);
      Tensor q = draws.normal(1, 1, 2, 23, 8);
      Tensor k = draws.normal(1, 1, 2, 23, 8);
      Tensor v = draws.normal(1, 1, 2, 23, 8);
      Tensor i = draws.normal(1, 1, 2, 23);
      Tensor f = draws.normal(1, 1, 2, 23);
      var zero = MlstmCell.State.zero(1, 2, 8, 8, q);
      Tensor whole = MlstmCell.chunkwise(q, k, v, i, f, zero, SequenceLayout.FULL, 16).h();
      MlstmCell.State state = zero;
      var parts = new ArrayList<Tensor>();
      for (int from : new int[] {0, 11}) {
        int count = from == 0 ? 11 : 12;
        MlstmCell.Output part =
            MlstmCell.chunkwise(
                q.narrow(2, from, count),
                k.narrow(2, from, count),
                v.narrow(2, from, count),
                i.narrow(2, from, count),
                f.narrow(2, from, count),
                state,
                SequenceLayout.FULL,
                16);
        state = part.state();
        parts.add(part.h());
      }
      Tensor joined = Ops.concat(2, parts.toArray(Tensor[]::new));
      Golden.assertCloseRelative("h", joined, whole, BFLOAT16);
      MlstmCell.Output one =
          MlstmCell.step(
              q.select(2, 0), k.select(2, 0), v.select(2, 0), i.select(2, 0), f.select(2, 0), zero);
      assertThat(one.h().scalar_type().intern()).isEqualTo(ScalarType.BFloat16);
      Golden.assertCloseRelative("first step", one.h(), whole.select(2, 0), BFLOAT16);
    }
  }

  @Test
  void mixed_types_and_half_states_are_refused_by_name() {
    try (var _ = new PointerScope()) {
      var draws = new Draws(5, ScalarType.Float);
      Tensor x = draws.normal(1, 1, 1, 3, 4);
      Tensor half = x.to(ScalarType.BFloat16);
      Tensor gate = draws.normal(1, 1, 1, 3);
      var zero = MlstmCell.State.zero(1, 1, 4, 4, x);
      assertThatThrownBy(
              () -> MlstmCell.chunkwise(half, x, half, gate, gate, zero, SequenceLayout.FULL, 4))
          .hasMessage("q, k and v must have one type, but are BFloat16, Float and BFloat16");
      var narrow = new MlstmCell.State(zero.c().to(ScalarType.BFloat16), zero.n(), zero.m());
      assertThatThrownBy(() ->
              MlstmCell.chunkwise(half, half, half, gate, gate, narrow, SequenceLayout.FULL, 4))
          .hasMessage("a state must be float32 or wider, but a part is BFloat16");
    }
  }
}
