package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The three forms of the mLSTM cell are one function, in outputs, states and gradients.
class MlstmCellFormsTest {
  /// Rounding alone: the forms add the same terms in another order.
  private static final double FLOAT64 = 1e-10;

  /// Relative to the largest number: 2^-24 per operation, times the length of the sums, times the
  /// cancellation in the denominator.
  private static final double FLOAT32_OUTPUT = 1e-4;

  private static final double FLOAT32_GRADIENT = 1e-3;

  private record Run(MlstmCell.Output output, List<Tensor> gradients) {}

  static Stream<Arguments> chunksAndLengths() {
    return Stream.of(4, 5, 16, 64)
        .flatMap(chunk ->
            IntStream.of(1, chunk - 1, chunk, chunk + 1, 2 * chunk + 3)
                .distinct()
                .mapToObj(length -> Arguments.of(chunk, length)));
  }

  @ParameterizedTest(name = "chunk {0}, length {1}")
  @MethodSource("chunksAndLengths")
  void all_forms_agree_in_float64(int chunk, int length) {
    for (boolean warm : new boolean[] {false, true}) {
      assertFormsAgree(chunk, length, 2, 3, 4, 6, warm, ScalarType.Double);
      assertFormsAgree(chunk, length, 1, 1, 5, 2, warm, ScalarType.Double);
    }
  }

  @ParameterizedTest(name = "chunk {0}, length {1}")
  @MethodSource("chunksAndLengths")
  void all_forms_agree_in_float32(int chunk, int length) {
    assertFormsAgree(chunk, length, 2, 2, 4, 6, true, ScalarType.Float);
  }

  private static void assertFormsAgree(
      int chunk,
      int length,
      long batch,
      long heads,
      long qkDim,
      long vDim,
      boolean warm,
      ScalarType type) {
    try (var _ = new PointerScope()) {
      var draws = new Draws(length * 100L + chunk, type);
      var sample = MlstmSample.draw(draws, batch, heads, length, qkDim, vDim, warm);
      Tensor weightH = draws.normal(1, batch, heads, length, vDim);
      Tensor weightC = draws.normal(1, batch, heads, qkDim, vDim);
      Tensor weightN = draws.normal(1, batch, heads, qkDim);
      var weights = List.of(weightH, weightC, weightN);
      Run expected = run(MlstmForm.RECURRENT, chunk, sample, weights);
      for (MlstmForm form : List.of(MlstmForm.PARALLEL, MlstmForm.CHUNKWISE)) {
        Run actual = run(form, chunk, sample, weights);
        boolean exact = type == ScalarType.Double;
        List<Tensor> outputs = expected.output.tensors();
        List<String> names = List.of("h", "c", "n", "m");
        for (int i = 0; i < names.size(); i++) {
          assertSame(
              form + " " + names.get(i),
              actual.output.tensors().get(i),
              outputs.get(i),
              exact ? FLOAT64 : FLOAT32_OUTPUT);
        }
        for (int i = 0; i < MlstmSample.NAMES.size(); i++) {
          assertSame(
              form + " gradient of " + MlstmSample.NAMES.get(i),
              actual.gradients.get(i),
              expected.gradients.get(i),
              exact ? FLOAT64 : FLOAT32_GRADIENT);
        }
      }
    }
  }

  /// Relative to the largest expected number, or absolute where that is below one.
  private static void assertSame(String what, Tensor actual, Tensor expected, double tolerance) {
    double scale = Math.max(1, Gradients.largest(expected));
    Golden.assertClose(what, actual, expected, tolerance * scale);
  }

  private static Run run(MlstmForm form, int chunk, MlstmSample sample, List<Tensor> weights) {
    var leaves = sample.leaves();
    var output = leaves.run(form, chunk, SequenceLayout.FULL);
    Tensor loss =
        output
            .h()
            .mul(weights.get(0))
            .sum()
            .add(output.state().c().mul(weights.get(1)).sum())
            .add(output.state().n().mul(weights.get(2)).sum());
    return new Run(output, Gradients.of(loss, leaves.tensors()));
  }

  @ParameterizedTest(name = "cut at {0}")
  @ValueSource(ints = {1, 2, 4, 6, 8})
  void a_sequence_may_be_cut_between_the_forms(int cut) {
    try (var _ = new PointerScope()) {
      var sample = MlstmSample.draw(Draws.float64(cut), 2, 2, 9, 3, 5, true);
      var whole = sample.run(MlstmForm.PARALLEL, 0, SequenceLayout.FULL);
      var first = part(sample, 0, cut, sample.initial()).run(MlstmForm.CHUNKWISE, 4, full());
      var second = part(sample, cut, 9 - cut, first.state()).run(MlstmForm.RECURRENT, 0, full());

      Golden.assertClose("h", Ops.concat(2, first.h(), second.h()), whole.h(), FLOAT64);
      Golden.assertClose("c", second.state().c(), whole.state().c(), FLOAT64);
      Golden.assertClose("n", second.state().n(), whole.state().n(), FLOAT64);
      Golden.assertClose("m", second.state().m(), whole.state().m(), FLOAT64);
    }
  }

  private static SequenceLayout full() {
    return SequenceLayout.FULL;
  }

  private static MlstmSample part(
      MlstmSample sample, long from, long length, MlstmCell.State initial) {
    var parts =
        Stream.concat(
            sample.tensors().stream().limit(5).map(x -> x.narrow(2, from, length)),
            initial.tensors().stream());
    return new MlstmSample(parts.toList());
  }

  @Test
  void inputs_need_not_be_contiguous() {
    try (var _ = new PointerScope()) {
      var sample = MlstmSample.draw(Draws.float64(3), 2, 3, 9, 4, 6, true);
      var strided =
          new MlstmSample(
              sample.tensors().stream()
                  .map(x -> x.transpose(0, 1).contiguous().transpose(0, 1))
                  .toList());
      assertThat(strided.tensors().getFirst().is_contiguous()).isFalse();
      for (MlstmForm form : MlstmForm.values()) {
        Golden.assertClose(
            form.name(),
            strided.run(form, 4, SequenceLayout.FULL).h(),
            sample.run(form, 4, SequenceLayout.FULL).h(),
            1e-14);
      }
    }
  }

  @Test
  void wrong_shapes_and_chunks_are_refused_by_name() {
    try (var _ = new PointerScope()) {
      var good = MlstmSample.draw(Draws.float64(1), 2, 3, 4, 5, 6, true);
      assertThatThrownBy(() -> good.run(MlstmForm.CHUNKWISE, 0, SequenceLayout.FULL))
          .hasMessage("chunkLength (0) must be positive");
      List<String> messages =
          List.of(
              "q must have shape (B, NH, S, DHQK)",
              "k must have shape (B, NH, S, DHQK) = [2, 3, 4, 5], but has [2, 3, 4, 5, 1]",
              "v must have shape (B, NH, S, DHV)",
              "igate must have shape (B, NH, S) = [2, 3, 4], but has [2, 3, 4, 1]",
              "fgate must have shape",
              "state c must have shape",
              "state n must have shape (B, NH, DHQK)",
              "state m must have shape (B, NH) = [2, 3], but has [2, 3, 1]");
      for (int i = 0; i < messages.size(); i++) {
        var parts = new ArrayList<>(good.tensors());
        parts.set(i, Ops.column(parts.get(i)));
        var bad = new MlstmSample(parts);
        for (MlstmForm form : MlstmForm.values()) {
          assertThatThrownBy(() -> bad.run(form, 4, SequenceLayout.FULL))
              .isInstanceOf(IllegalArgumentException.class)
              .hasMessageContaining(messages.get(i));
        }
      }
    }
  }
}
