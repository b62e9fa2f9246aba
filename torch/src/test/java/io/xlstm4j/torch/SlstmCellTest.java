package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.config.SlstmLayerConfig.Function;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/// The properties of the sLSTM cell, in float64.
class SlstmCellTest {
  private static final double ROUNDING = 1e-12;
  private static final SlstmCell LSTM = new SlstmCell(Function.LSTM, false, null, null);

  @ParameterizedTest
  @EnumSource
  void every_gradient_equals_finite_differences(Function function) {
    try (var _ = new PointerScope()) {
      var draws = Draws.float64(5);
      var sample = SlstmSample.draw(draws, 2, 2, 4, 2, true);
      var cell = new SlstmCell(function, false, null, null);
      List<Tensor> weights = weights(draws, 2, 2, 4, 2);
      int used = function == Function.SLSTM ? 7 : 5; // a plain LSTM has no n and m
      // m stays in the graph, so the returned c, n and m are differentiated exactly as they are.
      Gradients.check(
          SlstmSample.NAMES.subList(0, used),
          sample.tensors().subList(0, used),
          inputs -> {
            var all = new ArrayList<Tensor>(inputs);
            all.addAll(sample.tensors().subList(used, 7));
            return loss(new SlstmSample(all).run(cell), weights);
          },
          1e-8); // central differences: step² times the third derivative, and rounding / step
    }
  }

  @Test
  void every_gradient_from_a_fresh_row_equals_finite_differences() {
    try (var _ = new PointerScope()) {
      var draws = Draws.float64(6);
      var sample = SlstmSample.draw(draws, 2, 2, 4, 2, false);
      List<Tensor> weights = weights(draws, 2, 2, 4, 2);
      Gradients.check(
          SlstmSample.NAMES.subList(0, 3),
          sample.tensors().subList(0, 3),
          inputs -> {
            var all = new ArrayList<Tensor>(inputs);
            all.addAll(sample.tensors().subList(3, 7));
            return loss(new SlstmSample(all).run(SlstmCell.PAPER), weights);
          },
          1e-8);
    }
  }

  /// For y of every position and for y, c, n, m of the last.
  private static List<Tensor> weights(
      Draws draws, long batch, long heads, long length, long headDim) {
    return List.of(
        draws.normal(1, batch, length, heads, headDim),
        draws.normal(1, batch, heads, headDim),
        draws.normal(1, batch, heads, headDim),
        draws.normal(1, batch, heads, headDim),
        draws.normal(1, batch, heads, headDim));
  }

  private static Tensor loss(SlstmCell.Output output, List<Tensor> weights) {
    Tensor loss = output.y().mul(weights.getFirst()).sum();
    for (int i = 0; i < 4; i++) {
      loss = loss.add(output.state().tensors().get(i).mul(weights.get(i + 1)).sum());
    }
    return loss;
  }

  @ParameterizedTest(name = "{0}, cut {1}, recurrent clip {2}, forward clip {3}")
  @CsvSource({
    "SLSTM, false, , ",
    "SLSTM, true, , ",
    "SLSTM, false, 0.05, ",
    "SLSTM, false, , 0.2",
    "SLSTM, false, 0.05, 0.2",
    "LSTM, false, , ",
    "LSTM, true, , ",
    "LSTM, false, 0.02, 0.1",
  })
  void equals_plain_loops_forward_and_backward(
      Function function,
      boolean cut,
      @Nullable Double recurrentClip,
      @Nullable Double forwardClip) {
    int batch = 2;
    int heads = 2;
    int length = 6;
    int dim = 3;
    for (boolean warm : new boolean[] {false, true}) {
      try (var _ = new PointerScope()) {
        var draws = Draws.float64(11);
        var sample = SlstmSample.draw(draws, batch, heads, length, dim, warm);
        Tensor weightY = draws.normal(1, length, batch, heads, dim);
        List<Tensor> onState = weights(draws, batch, heads, length, dim).subList(1, 4);

        var plain = new PlainSlstm(batch, length, heads, dim);
        plain.lstm = function == Function.LSTM;
        plain.recurrentCut = cut;
        plain.recurrentClip = recurrentClip;
        plain.forwardClip = forwardClip;
        double[][] initial =
            sample.initial().tensors().stream().map(Tensors::doubles).toArray(double[][]::new);
        plain.y[0] = initial[0];
        plain.c[0] = initial[1];
        plain.n[0] = initial[2];
        plain.m[0] = initial[3];
        if (plain.lstm) {
          Arrays.fill(plain.n, initial[2]);
          Arrays.fill(plain.m, initial[3]);
        }
        double[] wx = Tensors.doubles(sample.tensors().get(0));
        double[] r = Tensors.doubles(sample.tensors().get(1));
        plain.forward(wx, r, Tensors.doubles(sample.tensors().get(2)));

        var leaves = sample.leaves();
        var output = leaves.run(new SlstmCell(function, cut, recurrentClip, forwardClip));
        for (int t = 0; t < length; t++) {
          long[] shape = {batch, heads, dim};
          Golden.assertClose(
              "y at " + t, output.y().select(1, t), Tensors.of(plain.y[t + 1], shape), ROUNDING);
        }
        List<double[][]> plainStates = List.of(plain.y, plain.c, plain.n, plain.m);
        for (int i = 0; i < 4; i++) {
          Tensor expected = Tensors.of(plainStates.get(i)[length], batch, heads, dim);
          Golden.assertClose("state", output.state().tensors().get(i), expected, ROUNDING);
        }

        // docs/math.md 1.6 holds m constant, which is exact for what does not depend on m: c and n
        // without
        // the factor exp(-m) that they carry.
        Tensor real =
            plain.lstm ? Ops.onePlus(Ops.times(output.state().m(), 0)) : output.state().m().exp();
        Tensor loss =
            output
                .y()
                .transpose(0, 1)
                .mul(weightY)
                .sum()
                .add(output.state().y().mul(onState.get(0)).sum())
                .add(output.state().c().mul(real).mul(onState.get(1)).sum())
                .add(output.state().n().mul(real).mul(onState.get(2)).sum());
        List<Tensor> actual = Gradients.of(loss, leaves.tensors());

        double[][] dY =
            IntStream.range(0, length)
                .mapToObj(t -> Tensors.doubles(weightY.select(0, t)))
                .toArray(double[][]::new);
        var expected =
            plain.backward(
                dY,
                Tensors.doubles(onState.get(0)),
                Tensors.doubles(onState.get(1).mul(real)),
                Tensors.doubles(onState.get(2).mul(real)),
                r);
        List<double[]> gradients =
            List.of(
                expected.dWx(),
                expected.dr(),
                expected.db(),
                expected.dy0(),
                expected.dc0(),
                expected.dn0());
        for (int i = 0; i < gradients.size(); i++) {
          if (i > 3 && !warm && function == Function.SLSTM) {
            continue; // c and n of a fresh row are zeros that mean "nothing yet"
          }
          Golden.assertCloseRelative(
              "gradient of " + SlstmSample.NAMES.get(i),
              actual.get(i),
              Tensors.of(gradients.get(i), Ops.shape(actual.get(i))),
              1e-11);
        }
        if (cut) {
          assertThat(Gradients.largest(actual.get(3))).as("y0 gets nothing").isZero();
          assertThat(Gradients.largest(actual.get(1))).as("R learns").isPositive();
        }
      }
    }
  }

  @ParameterizedTest(name = "cut after {0} of 7")
  @ValueSource(ints = {1, 2, 3, 6})
  void a_sequence_may_be_cut_anywhere(int cut) {
    for (SlstmCell cell : List.of(SlstmCell.PAPER, LSTM)) {
      for (boolean warm : new boolean[] {false, true}) {
        try (var _ = new PointerScope()) {
          var sample = SlstmSample.draw(Draws.float64(cut), 2, 2, 7, 3, warm);
          var whole = sample.run(cell);
          var first = sample.part(0, cut, sample.initial()).run(cell);
          var second = sample.part(cut, 7 - cut, first.state()).run(cell);

          Golden.assertClose("y", Ops.concat(1, first.y(), second.y()), whole.y(), 0);
          assertSameState(second.state(), whole.state(), 0);
        }
      }
    }
  }

  @Test
  void one_token_at_a_time_equals_the_whole_sequence() {
    try (var _ = new PointerScope()) {
      var sample = SlstmSample.draw(Draws.float64(8), 3, 2, 9, 4, false);
      var whole = sample.run(SlstmCell.PAPER);
      var state = sample.initial();
      for (int t = 0; t < 9; t++) {
        var step = sample.part(t, 1, state).run(SlstmCell.PAPER);
        Golden.assertClose("y at " + t, step.y().select(1, 0), whole.y().select(1, t), 0);
        state = step.state();
      }
      assertSameState(state, whole.state(), 0);
    }
  }

  @Test
  void rows_that_are_fresh_do_not_disturb_rows_that_are_warm() {
    try (var _ = new PointerScope()) {
      var draws = Draws.float64(9);
      var warm = SlstmSample.draw(draws, 3, 2, 5, 3, true);
      Tensor mixing = Tensors.of(new boolean[] {true, false, true}, 3, 1, 1);
      var parts = new ArrayList<Tensor>(quietInputGates(warm).subList(0, 3));
      for (Tensor part : warm.initial().tensors()) {
        parts.add(Ops.whereElse(mixing, part, 0)); // the middle row has seen nothing
      }
      var mixed = new SlstmSample(parts);
      var together = mixed.run(SlstmCell.PAPER);
      for (int row = 0; row < 3; row++) {
        var alone = mixed.row(row).run(SlstmCell.PAPER);
        Golden.assertClose("y", together.y().narrow(0, row, 1), alone.y(), ROUNDING);
        for (int i = 0; i < 4; i++) {
          Golden.assertClose(
              "state",
              together.state().tensors().get(i).narrow(0, row, 1),
              alone.state().tensors().get(i),
              ROUNDING);
        }
      }
    }
  }

  @Test
  void units_that_are_fresh_take_their_own_first_step() {
    try (var _ = new PointerScope()) { // one row in which half of the units have n = 0
      var sample = SlstmSample.draw(Draws.float64(10), 1, 2, 5, 4, true);
      Tensor seen = Tensors.of(new boolean[] {true, false, false, true}, 1, 1, 4);
      var parts = quietInputGates(sample);
      for (int i = 4; i < 7; i++) {
        parts.set(i, Ops.whereElse(seen, parts.get(i), 0));
      }
      var mixed = new SlstmSample(parts);
      var plain = new PlainSlstm(1, 5, 2, 4);
      plain.y[0] = Tensors.doubles(parts.get(3));
      plain.c[0] = Tensors.doubles(parts.get(4));
      plain.n[0] = Tensors.doubles(parts.get(5));
      plain.m[0] = Tensors.doubles(parts.get(6));
      plain.forward(
          Tensors.doubles(parts.get(0)),
          Tensors.doubles(parts.get(1)),
          Tensors.doubles(parts.get(2)));

      var last = mixed.run(SlstmCell.PAPER).state();

      Golden.assertClose("y", last.y(), Tensors.of(plain.y[5], 1, 2, 4), ROUNDING);
      Golden.assertClose("n", last.n(), Tensors.of(plain.n[5], 1, 2, 4), ROUNDING);
      Golden.assertClose("m", last.m(), Tensors.of(plain.m[5], 1, 2, 4), ROUNDING);
    }
  }

  /// The same inputs with input gates so low that the zeros of a fresh unit would win the maximum,
  /// were they not told apart.
  private static List<Tensor> quietInputGates(SlstmSample sample) {
    var parts = new ArrayList<>(sample.tensors());
    Tensor shift = Tensors.of(new double[] {-8, 0, 0, 0}, 1, 1, 4, 1, 1);
    parts.set(0, parts.getFirst().add(shift));
    return parts;
  }

  @Test
  void inputs_need_not_be_contiguous() {
    try (var _ = new PointerScope()) {
      var sample = SlstmSample.draw(Draws.float64(3), 2, 3, 5, 4, true);
      var strided =
          new SlstmSample(
              sample.tensors().stream()
                  .map(x -> x.transpose(0, 1).contiguous().transpose(0, 1))
                  .toList());
      assertThat(strided.tensors().getFirst().is_contiguous()).isFalse();
      Golden.assertClose(
          "y", strided.run(SlstmCell.PAPER).y(), sample.run(SlstmCell.PAPER).y(), ROUNDING);
    }
  }

  @Test
  void clip_hooks_survive_inner_scopes_and_leave_nothing_behind() {
    var clipping = new SlstmCell(Function.SLSTM, false, 0.1, 0.5);
    try (var _ = new PointerScope()) { // a scope that lives as long as a training run
      var draws = new Draws(4, ScalarType.Float);
      var sample = SlstmSample.draw(draws, 2, 2, 8, 4, false).leaves();
      long before = 0;
      for (int round = 0; round < 60; round++) {
        if (round == 20) { // the first rounds fill caches
          before = Pointer.totalCount();
        }
        try (var _ = new PointerScope()) {
          var output = Scopes.scoped(() -> Scopes.scoped(() -> sample.run(clipping)));
          output.y().sum().backward();
          sample.tensors().forEach(leaf -> leaf.mutable_grad().reset());
        }
      }
      assertThat(Pointer.totalCount()).isEqualTo(before);
    }
  }

  @Test
  void wrong_shapes_are_refused_by_name() {
    try (var _ = new PointerScope()) {
      var good = SlstmSample.draw(Draws.float64(1), 2, 3, 4, 5, true);
      List<String> messages =
          List.of(
              "wx must have shape (B, S, 4, NH, DH)",
              "r must have shape (NH, DH, 4, DH) = [3, 5, 4, 5], but has [3, 5, 4, 5, 1]",
              "b must have shape (NH, 4, DH) = [3, 4, 5], but has [3, 4, 5, 1]",
              "state y must",
              "state c must",
              "state n must",
              "state m must have shape (B, NH, DH) = [2, 3, 5], but has [2, 3, 5, 1]");
      for (int i = 0; i < messages.size(); i++) {
        var parts = new ArrayList<Tensor>(good.tensors());
        parts.set(i, Ops.column(parts.get(i)));
        assertThatThrownBy(() -> new SlstmSample(parts).run(SlstmCell.PAPER))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining(messages.get(i));
      }
      assertThatThrownBy(() -> good.part(0, 0, good.initial()).run(SlstmCell.PAPER))
          .hasMessageContaining("at least one position");
    }
  }

  private static void assertSameState(
      SlstmCell.State actual, SlstmCell.State expected, double tolerance) {
    for (int i = 0; i < 4; i++) {
      Golden.assertClose(
          "state " + i, actual.tensors().get(i), expected.tensors().get(i), tolerance);
    }
  }
}
