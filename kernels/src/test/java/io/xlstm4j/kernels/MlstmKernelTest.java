package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static io.xlstm4j.kernels.MlstmCase.named;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarMlstmKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorMlstmKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class MlstmKernelTest {
  private static final int CHUNK = 32;
  private static final KernelThreads ONE = new KernelThreads(1);
  private static final KernelThreads TWO = new KernelThreads(2);
  private static final KernelThreads THREE = new KernelThreads(3);

  /// Float sums of a few hundred terms, relative to the largest element of the tensor; the scalar
  /// kernel works in double precision.
  private static final double SUMS = 1e-5;

  @AfterAll
  static void closeWorkers() {
    TWO.close();
    THREE.close();
  }

  static Stream<MlstmKernel> kernels() {
    return Stream.of(new ScalarMlstmKernel(ONE), new VectorMlstmKernel(ONE, 4));
  }

  static Stream<Arguments> referenceCases() {
    return kernels()
        .flatMap(kernel ->
            Stream.of(-3f, 0f, 3f) // mostly the floor, both, mostly the sum
                .flatMap(shift ->
                    Stream.of(true, false).map(warm -> Arguments.of(kernel, shift, warm))));
  }

  @ParameterizedTest(name = "{0}, input gates moved by {1}, warm {2}")
  @MethodSource("referenceCases")
  void outputs_and_gradients_are_those_of_the_recurrence(
      MlstmKernel kernel, float shift, boolean warm) {
    MlstmCase data = MlstmCase.random(2, 9, 2, 3, 5, 11);
    data.warm = warm;
    for (int i = 0; i < data.get("i").length; i++) {
      data.get("i")[i] += shift;
    }
    var reference = new MlstmReference(data);

    Map<String, float[]> actual = data.run(kernel);

    for (String name : List.of("h", "C", "n", "m")) {
      assertClose(name, named(actual, name), reference.output(name), 2e-6);
    }
    for (String name : List.of("q", "k", "v", "i", "f")) {
      assertClose("d" + name, named(actual, "d" + name), reference.gradient(name), 1e-5);
    }
    if (warm) {
      assertClose("dC", named(actual, "dC"), reference.gradient("C"), 1e-5);
      assertClose("dn", named(actual, "dn"), reference.gradient("n"), 1e-5);
    }
  }

  @Test
  void a_kernel_gives_the_same_bits_before_and_after_it_is_compiled() {
    MlstmCase data = MlstmCase.random(2, 70, 2, 17, 20, 5);
    kernels()
        .forEach(kernel -> {
          Map<String, float[]> first = data.run(kernel);
          for (int i = 0; i < 500; i++) { // enough for both of the JVM's compilers
            data.run(kernel);
          }
          Map<String, float[]> last = data.run(kernel);
          first.forEach((name, values) -> assertThat(last.get(name)).as(name).isEqualTo(values));
        });
  }

  @Test
  void nothing_flows_through_the_denominator_where_its_floor_holds() {
    // With q = 0 the sum is 0 and the floor holds: nothing flows to k but through the last state.
    MlstmCase data = MlstmCase.random(1, 5, 1, 3, 4, 12);
    Arrays.fill(data.get("q"), 0);
    Arrays.fill(data.get("dC"), 0);
    Arrays.fill(data.get("dn"), 0);
    kernels()
        .forEach(kernel -> {
          Map<String, float[]> actual = data.run(kernel);
          assertThat(named(actual, "dk")).containsOnly(0f);
          assertThat(named(actual, "h")).containsOnly(0f);
          assertClose("dq", named(actual, "dq"), new MlstmReference(data).gradient("q"), 1e-5);
        });
  }

  @ParameterizedTest(name = "keys {0}, values {1}")
  @CsvSource({
    "1, 1", "4, 4", "7, 7", "8, 8", "15, 15", "16, 16", "17, 17", "32, 32", "33, 33", "64, 64",
    "1, 17", "16, 33", "32, 64", "64, 16", "33, 8"
  })
  void vectors_give_the_plain_loops_results_at_every_width(int qkDim, int vDim) {
    for (int length : new int[] {1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3}) {
      MlstmCase data = MlstmCase.random(1, length, 2, qkDim, vDim, length);
      assertClose(
          data.run(new VectorMlstmKernel(TWO, CHUNK)), data.run(new ScalarMlstmKernel(TWO)), SUMS);
    }
  }

  @ParameterizedTest(name = "chunks of {0}")
  @ValueSource(ints = {1, 15, 16, 17, 64, 100, 128})
  void the_chunk_length_does_not_matter(int chunk) {
    MlstmCase data = MlstmCase.random(2, 150, 1, 16, 8, chunk);
    assertClose(
        data.run(new VectorMlstmKernel(TWO, chunk)), data.run(new ScalarMlstmKernel(TWO)), SUMS);
  }

  @Test
  void extreme_gates_stay_finite_and_equal_the_plain_loops() {
    float[] extremes = {100, -100, 0, 50, -50, -88, 88, 20, -20};
    MlstmCase data = MlstmCase.random(1, 81 * 2, 1, 8, 8, 13);
    for (int t = 0; t < data.shape.length(); t++) {
      data.get("i")[t] = extremes[t % 9];
      data.get("f")[t] = extremes[t / 9 % 9];
    }
    Map<String, float[]> expected = data.run(new ScalarMlstmKernel(ONE));
    Map<String, float[]> actual = data.run(new VectorMlstmKernel(ONE, CHUNK));
    actual.forEach((name, values) -> {
      for (float x : values) {
        assertThat(Float.isFinite(x)).as(name).isTrue();
      }
    });
    // a stabilizer of 100 resolves 8e-6, so decays differ by as much
    assertClose(actual, expected, 5e-5);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("maskKernels")
  void padding_behind_a_row_changes_nothing(MlstmKernel kernel) {
    int[] lengths = {11, 4, 0, 9};
    MlstmCase data = MlstmCase.random(4, 11, 2, 3, 5, 14);
    data.valid = new byte[4 * 11];
    for (int row = 0; row < 4; row++) {
      Arrays.fill(data.valid, row * 11, row * 11 + lengths[row], (byte) 1);
      for (int t = lengths[row]; t < 11; t++) { // padding may hold anything
        for (String name : List.of("q", "k", "v", "i", "f", "dh")) {
          int offset = data.at(name, row, t);
          Arrays.fill(data.get(name), offset, offset + data.width(name), Float.NaN);
        }
      }
    }
    Map<String, float[]> actual = data.run(kernel);
    for (int row = 0; row < 4; row++) {
      for (String name : List.of("h", "dq", "dk", "dv", "di", "df")) {
        for (int offset = data.at(name, row, lengths[row]);
            offset < data.at(name, row, 11);
            offset++) {
          assertThat(named(actual, name)[offset]).as(name).isZero();
        }
      }
      if (lengths[row] == 0) {
        assertThat(slice(actual, data, "C", row, 0, 0)).isEqualTo(state(data, "C", row));
        continue;
      }
      MlstmCase alone = part(data, row, 0, lengths[row], true, true);
      Map<String, float[]> expected = alone.run(kernel);
      for (String name : expected.keySet()) {
        float[] values = slice(actual, data, name, row, 0, lengths[row]);
        assertClose(name, values, named(expected, name), 2e-6);
      }
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("maskKernels")
  void documents_in_a_row_are_as_if_alone(MlstmKernel kernel) {
    // chunks of 4: starts at 0, within, at borders, and one after the other
    int[][] starts = {{0, 4, 5, 6, 8, 12, 13}, {2, 11}, {}, {0}};
    MlstmCase data = MlstmCase.random(4, 14, 2, 3, 5, 15);
    data.starts = new byte[4 * 14];
    for (int row = 0; row < 4; row++) {
      for (int t : starts[row]) {
        data.starts[row * 14 + t] = 1;
      }
    }
    Map<String, float[]> actual = data.run(kernel);
    for (int row = 0; row < 4; row++) {
      for (int from = 0; from < 14; ) {
        int to = from + 1;
        while (to < 14 && data.starts[row * 14 + to] == 0) {
          to++;
        }
        boolean enters = from == 0 && data.starts[row * 14] == 0;
        MlstmCase alone = part(data, row, from, to, enters, to == 14);
        Map<String, float[]> expected = alone.run(kernel);
        for (String name : List.of("h", "dq", "dk", "dv", "di", "df")) {
          float[] values = named(expected, name);
          if (name.equals("df") && !enters) { // no state to forget: what is left is rounding
            Arrays.fill(values, 0, data.width(name), 0);
          }
          assertClose(name, slice(actual, data, name, row, from, to), values, 2e-5);
        }
        if (to == 14) {
          for (String name : List.of("C", "n", "m")) {
            assertClose(name, slice(actual, data, name, row, 0, 0), named(expected, name), 2e-6);
          }
        }
        from = to;
      }
    }
  }

  static Stream<MlstmKernel> maskKernels() {
    return Stream.of(
        new ScalarMlstmKernel(ONE), new VectorMlstmKernel(ONE, 4), new VectorMlstmKernel(ONE));
  }

  @Test
  void masks_of_both_kinds_give_the_plain_loops_results() {
    MlstmCase data = MlstmCase.random(3, 70, 2, 16, 16, 16);
    data.valid = new byte[3 * 70];
    data.starts = new byte[3 * 70];
    for (int i = 0; i < data.valid.length; i++) {
      data.valid[i] = (byte) (i % 70 < 70 - 20 * (i / 70) ? 1 : 0);
      data.starts[i] = (byte) (i % 13 == 5 || i % 70 == 32 ? 1 : 0);
    }
    assertClose(
        data.run(new VectorMlstmKernel(TWO, 16)), data.run(new ScalarMlstmKernel(TWO)), SUMS);
  }

  @Test
  void the_bits_do_not_depend_on_the_number_of_threads() {
    MlstmCase data = MlstmCase.random(3, 70, 3, 16, 24, 17);
    Map<String, float[]> expected = data.run(new VectorMlstmKernel(ONE));
    for (KernelThreads threads : List.of(TWO, THREE)) {
      var kernel = new VectorMlstmKernel(threads);
      for (int round = 0; round < 3; round++) {
        data.run(kernel)
            .forEach(
                (name, values) -> assertThat(values).as(name).isEqualTo(named(expected, name)));
      }
    }
  }

  @Test
  void two_calls_that_pass_the_state_on_equal_one() {
    MlstmCase whole = MlstmCase.random(2, 50, 2, 8, 8, 18);
    var kernel = new VectorMlstmKernel(ONE, 16);
    Map<String, float[]> expected = whole.run(kernel);
    for (int row = 0; row < 2; row++) {
      MlstmCase first = part(whole, row, 0, 23, true, false);
      MlstmCase second = part(whole, row, 23, 50, true, true);
      Map<String, float[]> out = first.run(kernel);
      for (String name : List.of("C", "n", "m")) {
        second.values.put(name, named(out, name));
      }
      Map<String, float[]> back = second.run(kernel);
      first.values.put("dC", named(back, "dC"));
      first.values.put("dn", named(back, "dn"));
      Map<String, float[]> front = first.run(kernel);
      for (String name : List.of("h", "dq", "dk", "dv", "di", "df")) {
        assertClose(name, named(front, name), slice(expected, whole, name, row, 0, 23), SUMS);
        assertClose(name, named(back, name), slice(expected, whole, name, row, 23, 50), SUMS);
      }
      assertClose("dC", named(front, "dC"), slice(expected, whole, "dC", row, 0, 0), SUMS);
    }
  }

  @Test
  void memory_that_is_too_short_is_named() {
    var shape = new MlstmShape(1, 2, 1, 4, 4);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment few = arena.allocate(7 * Float.BYTES);
      var rows = new StridedMatrix(few, 4);
      var inputs = new MlstmInputs(rows, rows, rows, rows, rows, null, null);
      var state = new MlstmState(few, few, few);
      assertThatThrownBy(
              () -> new VectorMlstmKernel(ONE).forward(shape, inputs, null, rows, state, null))
          .hasMessage("q: expected 8 floats, got 28 bytes");
      assertThatThrownBy(() ->
              new ScalarMlstmKernel(ONE)
                  .forward(
                      shape,
                      new MlstmInputs(
                          new StridedMatrix(few, 3), rows, rows, rows, rows, null, null),
                      null,
                      rows,
                      state,
                      null))
          .hasMessage("q: stride (3) must be at least the width (4)");
    }
  }

  /// Positions `[from, to)` of one row; without the initial state, or the last one's gradient, if
  /// they do not reach there.
  private static MlstmCase part(
      MlstmCase whole, int row, int from, int to, boolean enters, boolean leaves) {
    MlstmShape s = whole.shape;
    var result = new MlstmCase(new MlstmShape(1, to - from, s.heads(), s.qkDim(), s.vDim()));
    for (String name : whole.values.keySet()) {
      if (whole.width(name) > 0) {
        result.values.put(name, slice(whole.values, whole, name, row, from, to));
      } else if (name.startsWith("d") ? leaves : enters) {
        result.values.put(name, state(whole, name, row));
      }
    }
    result.warm = enters;
    return result;
  }

  private static float[] state(MlstmCase data, String name, int row) {
    return slice(data.values, data, name, row, 0, 0);
  }

  /// One row of `values`; of a state, all of it.
  private static float[] slice(
      Map<String, float[]> values, MlstmCase data, String name, int row, int from, int to) {
    float[] all = named(values, name);
    if (data.width(name) == 0) {
      int size = all.length / data.shape.batch();
      return Arrays.copyOfRange(all, row * size, (row + 1) * size);
    }
    return Arrays.copyOfRange(all, data.at(name, row, from), data.at(name, row, to));
  }
}
