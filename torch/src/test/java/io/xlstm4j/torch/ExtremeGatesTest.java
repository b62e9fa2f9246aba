package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.config.SlstmLayerConfig.Function;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Gates of plus and minus 100, where `exp` alone overflows float32, leave outputs and gradients
/// finite.
class ExtremeGatesTest {
  private static final double HUGE = 100;

  /// Input and forget gates before their activation, by position: every pair of signs, and every
  /// change from one pair to another.
  private static final int[][] PAIRS = {{1, 1}, {1, -1}, {-1, 1}, {-1, -1}};

  static Stream<Arguments> typesAndSequences() {
    return Stream.of("Float", "Double")
        .flatMap(type ->
            sequences()
                .flatMap(sequence ->
                    Stream.of(false, true).map(warm -> Arguments.of(type, sequence, warm))));
  }

  /// Indices into [#PAIRS]: each alone, each twice over, and all changes.
  private static Stream<List<Integer>> sequences() {
    var sequences = new ArrayList<List<Integer>>();
    for (int first = 0; first < 4; first++) {
      sequences.add(List.of(first));
      for (int second = 0; second < 4; second++) {
        sequences.add(List.of(first, second));
      }
    }
    sequences.add(List.of(0, 1, 2, 3, 3, 2, 1, 0, 2, 0, 3, 1));
    return sequences.stream();
  }

  private static Tensor gate(int which, List<Integer> sequence, ScalarType type) {
    double[] values = sequence.stream().mapToDouble(pair -> HUGE * PAIRS[pair][which]).toArray();
    return Tensors.of(values, values.length).to(type);
  }

  @ParameterizedTest(name = "{0}, gates {1}, warm {2}")
  @MethodSource("typesAndSequences")
  void keep_the_mlstm_cell_finite(String typeName, List<Integer> sequence, boolean warm) {
    var type = ScalarType.valueOf(typeName);
    int length = sequence.size();
    try (var _ = new PointerScope()) {
      var sample = MlstmSample.draw(new Draws(1, type), 1, 2, length, 3, 2, warm);
      var parts = new ArrayList<Tensor>(sample.tensors());
      parts.set(3, gate(0, sequence, type).expand(1, 2, length));
      parts.set(4, gate(1, sequence, type).expand(1, 2, length));
      for (MlstmForm form : MlstmForm.values()) {
        var leaves = new MlstmSample(parts).leaves();
        var output = leaves.run(form, 4, SequenceLayout.FULL);
        assertAllFinite(form.name(), output.tensors(), leaves.tensors(), MlstmSample.NAMES);
      }
    }
  }

  @ParameterizedTest(name = "{0}, gates {1}, warm {2}")
  @MethodSource("typesAndSequences")
  void keep_the_slstm_cell_finite(String typeName, List<Integer> sequence, boolean warm) {
    var type = ScalarType.valueOf(typeName);
    int length = sequence.size();
    try (var _ = new PointerScope()) {
      Tensor i = gate(0, sequence, type);
      Tensor f = gate(1, sequence, type);
      for (double rest : new double[] {0.5, -HUGE, HUGE}) { // of z and o
        Tensor zo = Ops.onePlus(Ops.times(i, 0)).mul(Ops.number(rest));
        Tensor wx = Ops.stackAll(List.of(i, f, zo, zo), 1).view(1, length, 4, 1, 1);
        for (Function function : Function.values()) {
          var parts =
              new ArrayList<>(
                  SlstmSample.draw(new Draws(1, type), 1, 2, length, 3, warm).tensors());
          parts.set(0, wx.expand(1, length, 4, 2, 3));
          var leaves = new SlstmSample(parts).leaves();
          var output = leaves.run(new SlstmCell(function, false, null, null));
          assertAllFinite(function.name(), output.tensors(), leaves.tensors(), SlstmSample.NAMES);
          assertThat(Gradients.largest(output.y())).as("|y|").isLessThanOrEqualTo(10);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1000, 1000})
  void a_first_step_is_finite_however_far_the_gates_are_apart(double size) {
    try (var _ = new PointerScope()) { // exp(2000) overflows float64 too
      var sample = SlstmSample.draw(Draws.float64(2), 1, 1, 2, 2, false);
      Tensor gates = Tensors.of(new double[] {size, -size, 1, 1}, 1, 1, 4, 1, 1);
      var parts = new ArrayList<>(sample.tensors());
      parts.set(0, gates.expand(1, 2, 4, 1, 2));
      var leaves = new SlstmSample(parts).leaves();
      var output = leaves.run(SlstmCell.PAPER);
      assertAllFinite("sLSTM", output.tensors(), leaves.tensors(), SlstmSample.NAMES);
    }
  }

  private static void assertAllFinite(
      String what, List<Tensor> outputs, List<Tensor> leaves, List<String> names) {
    Tensor loss = outputs.getFirst().sum();
    for (Tensor output : outputs) {
      Gradients.assertFinite(what + " output", output);
      loss = loss.add(output.sum());
    }
    List<Tensor> gradients = Gradients.of(loss, leaves);
    for (int i = 0; i < gradients.size(); i++) {
      Gradients.assertFinite(what + " gradient of " + names.get(i), gradients.get(i));
    }
  }
}
