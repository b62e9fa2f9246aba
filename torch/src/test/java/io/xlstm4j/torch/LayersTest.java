package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.bytedeco.pytorch.global.torch.randn;

import java.util.ArrayList;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// [Slstm] and [Mlstm] as layers: shapes, states, and steps against whole sequences.
class LayersTest {
  private static Tensor random(long... shape) {
    return randn(shape, new TensorOptions(ScalarType.Double));
  }

  private static Parameters doubles() {
    Torch.seed(5);
    return new Parameters(Torch.device("cpu"), ScalarType.Double);
  }

  @ParameterizedTest(name = "width {0}, {2} heads of {1}, kernel {3}")
  @CsvSource({"6, 4, 2, 4", "5, 3, 1, 1", "3, 8, 3, 2"}) // hidden above, below and unlike the input
  void steps_of_an_slstm_equal_the_whole_sequence(int width, int headDim, int heads, int kernel) {
    try (var _ = new PointerScope();
        var lstm = new Slstm(width, headDim, heads, 4.0 / 3, kernel, doubles())) {
      Tensor sequence = random(3, 9, width);
      var whole = lstm.forward(sequence, lstm.initialState(3));
      Slstm.State state = lstm.initialState(3);
      var outputs = new ArrayList<Tensor>();
      for (int t = 0; t < 9; t++) {
        var next = lstm.step(sequence.select(1, t), state);
        outputs.add(next.output());
        state = next.state();
      }
      Golden.assertClose("output", Ops.stackAll(outputs, 1), whole.output(), 1e-12);
      for (int i = 0; i < state.tensors().size(); i++) {
        Golden.assertClose("state", state.tensors().get(i), whole.state().tensors().get(i), 1e-12);
      }
    }
  }

  @ParameterizedTest(name = "width {0}, {2} heads of {1}, kernel {3}")
  @CsvSource({"6, 4, 2, 4", "5, 3, 1, 1", "3, 8, 3, 2"})
  void steps_of_an_mlstm_equal_the_whole_sequence(int width, int headDim, int heads, int kernel) {
    try (var _ = new PointerScope();
        var lstm = new Mlstm(width, headDim, heads, 2.0, kernel, doubles())) {
      Tensor sequence = random(3, 70, width); // longer than a chunk
      var whole = lstm.forward(sequence, lstm.initialState(3));
      Mlstm.State state = lstm.initialState(3);
      var outputs = new ArrayList<Tensor>();
      for (int t = 0; t < 70; t++) {
        var next = lstm.step(sequence.select(1, t), state);
        outputs.add(next.output());
        state = next.state();
      }
      Golden.assertClose("output", Ops.stackAll(outputs, 1), whole.output(), 1e-11);
      for (int i = 0; i < state.tensors().size(); i++) {
        Golden.assertClose("state", state.tensors().get(i), whole.state().tensors().get(i), 1e-11);
      }
    }
  }

  @Test
  void an_earlier_output_does_not_change_when_a_later_input_does() {
    try (var _ = new PointerScope();
        var slstm = new Slstm(6, 4, 2, 4.0 / 3, 4, doubles());
        var mlstm = new Mlstm(6, 4, 2, 2.0, 4, doubles())) {
      Tensor sequence = random(2, 9, 6);
      Tensor changed = sequence.clone();
      changed.narrow(1, 5, 4).copy_(random(2, 4, 6));
      Tensor s1 = slstm.forward(sequence, slstm.initialState(2)).output();
      Tensor s2 = slstm.forward(changed, slstm.initialState(2)).output();
      Tensor m1 = mlstm.forward(sequence, mlstm.initialState(2)).output();
      Tensor m2 = mlstm.forward(changed, mlstm.initialState(2)).output();
      Golden.assertClose("slstm", s2.narrow(1, 0, 5), s1.narrow(1, 0, 5), 0);
      Golden.assertClose("mlstm", m2.narrow(1, 0, 5), m1.narrow(1, 0, 5), 1e-14);
      assertThat(Golden.largestDifference(s1, s2)).isGreaterThan(1e-3);
      assertThat(Golden.largestDifference(m1, m2)).isGreaterThan(1e-3);
    }
  }

  @Test
  void a_row_is_the_same_in_any_batch() {
    try (var _ = new PointerScope();
        var slstm = new Slstm(6, 4, 2, 4.0 / 3, 4, doubles());
        var mlstm = new Mlstm(6, 4, 2, 2.0, 4, doubles())) {
      Tensor sequence = random(3, 9, 6);
      Tensor alone = sequence.narrow(0, 1, 1);
      Golden.assertClose(
          "slstm",
          slstm.forward(alone, slstm.initialState(1)).output(),
          slstm.forward(sequence, slstm.initialState(3)).output().narrow(0, 1, 1),
          1e-13);
      Golden.assertClose(
          "mlstm",
          mlstm.forward(alone, mlstm.initialState(1)).output(),
          mlstm.forward(sequence, mlstm.initialState(3)).output().narrow(0, 1, 1),
          1e-13);
    }
  }

  @Test
  void every_parameter_of_an_mlstm_gets_a_gradient() {
    try (var _ = new PointerScope();
        var mlstm = new Mlstm(6, 4, 2, 2.0, 4, doubles())) {
      Tensor sequence = random(3, 9, 6);
      mlstm.forward(sequence, mlstm.initialState(3)).output().square().sum().backward();
      mlstm
          .parameters()
          .byName()
          .forEach((name, parameter) ->
              assertThat(parameter.grad().norm().item_double()).as(name).isFinite().isPositive());
    }
  }

  @Test
  void a_wrong_width_is_told_of_with_both_shapes() {
    try (var _ = new PointerScope();
        var slstm = new Slstm(6, 4, 2)) {
      assertThatThrownBy(() -> slstm.step(randn(2, 7), slstm.initialState(2)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("input must have shape (B, D) = [-1, 6], but has [2, 7]");
    }
  }
}
