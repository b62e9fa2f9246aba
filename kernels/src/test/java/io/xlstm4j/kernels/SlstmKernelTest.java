package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.Close.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.reference.ScalarSlstmKernel;
import io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class SlstmKernelTest {
  /// float32 against float64 over up to 17 steps of recurrence.
  private static final double AGAINST_DOUBLE = 1e-4;

  /// Both in float32, with sums in another order and other exp and tanh: a few units of the last
  /// place, which the recurrence carries on.
  private static final double AGAINST_SCALAR = 2e-5;

  private static final SlstmKernel SCALAR = new ScalarSlstmKernel();
  private static final SlstmKernel VECTOR = new VectorSlstmKernel();

  static List<SlstmKernel> kernels() {
    return List.of(SCALAR, VECTOR);
  }

  static Stream<Arguments> sizes() {
    return Stream.of(
            new int[] {1, 1, 1},
            new int[] {2, 2, 3},
            new int[] {3, 3, 2},
            new int[] {4, 5, 1},
            new int[] {5, 4, 4},
            new int[] {9, 64, 2})
        .flatMap(size ->
            Stream.of(1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100)
                .map(width -> Arguments.of(size[0], size[1], size[2], width)));
  }

  @ParameterizedTest(name = "B {0}, S {1}, NH {2}, DH {3}")
  @MethodSource("sizes")
  void vectors_equal_plain_loops_in_outputs_states_and_gradients(
      int batch, int length, int heads, int headDim) {
    SlstmCase given = SlstmCase.random(batch, length, heads, headDim);
    assertSame(given.run(VECTOR, 1), given.run(SCALAR, 1), AGAINST_SCALAR);
    given.masked();
    assertSame(given.run(VECTOR, 2), given.run(SCALAR, 2), AGAINST_SCALAR);
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void gradients_are_those_of_central_differences_also_through_the_final_stabilizer(
      SlstmKernel kernel) {
    SlstmCase given = SlstmCase.random(3, 6, 2, 5);
    assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
    given.masked();
    assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void each_gradient_into_the_final_state_counts_by_itself(SlstmKernel kernel) {
    for (String only : new String[] {"dyT", "dcT", "dnT", "dmT"}) {
      SlstmCase given = SlstmCase.random(2, 4, 1, 3);
      for (String name : new String[] {"dy", "dyT", "dcT", "dnT", "dmT"}) {
        if (!name.equals(only)) {
          Arrays.fill(given.at(name), 0);
        }
      }
      assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
    }
  }

  static Stream<Arguments> fixtures() {
    return kernels().stream()
        .flatMap(kernel ->
            Stream.of("slstm_cell_fresh", "slstm_cell_warm")
                .map(fixture -> Arguments.of(kernel, fixture)));
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void equals_the_official_cell(SlstmKernel kernel, String fixture) throws IOException {
    var golden = new Fixture(fixture);
    int[] r = golden.shape("r");
    int[] y = golden.shape("y"); // (B, NH, S, DH)
    var given = new SlstmCase(new Size(y[0], y[2], r[0], r[1]));
    for (String name : new String[] {"wx", "r", "b"}) {
      given.values.put(name, golden.values(name));
    }
    double[][] state0 = quarters(golden.values("state0"));
    double[][] onState = quarters(golden.values("grad_stateT"));
    String[] parts = {"y", "c", "n", "m"};
    for (int part = 0; part < 4; part++) {
      given.values.put(parts[part] + "0", state0[part]);
      given.values.put("d" + parts[part] + "T", onState[part]);
    }
    given.values.put("dy", stepsFirst(golden.values("grad_y"), given.size));

    NamedArrays actual = given.run(kernel, 2);

    double[][] stateT = quarters(golden.values("stateT"));
    double[][] dState0 = quarters(golden.values("d_state0"));
    assertClose("y", actual.at("y"), stepsFirst(golden.values("y"), given.size), AGAINST_DOUBLE);
    for (int part = 0; part < 4; part++) {
      String name = parts[part];
      assertClose(name + "T", actual.at(name + "T"), stateT[part], AGAINST_DOUBLE);
      if (part < 3) { // the official gradient of m is zero by definition (docs/math.md 1.6)
        assertClose("d" + name + "0", actual.at("d" + name + "0"), dState0[part], AGAINST_DOUBLE);
      }
    }
    for (String name : new String[] {"wx", "r", "b"}) {
      assertClose("d" + name, actual.at("d" + name), golden.values("d_" + name), AGAINST_DOUBLE);
    }
  }

  @ParameterizedTest(name = "gates of {0}")
  @ValueSource(doubles = {-100, 100})
  void extreme_gates_stay_finite_and_equal_plain_loops(double value) {
    for (int gate = 0; gate < 4; gate++) {
      SlstmCase given = SlstmCase.random(2, 5, 1, 17);
      for (int row = 0; row < 2; row++) {
        for (int t = 1; t < 5; t += 2) {
          int offset = (int) given.size.gate(row, t, gate, 0);
          Arrays.fill(given.at("wx"), offset, offset + 17, value);
        }
      }
      NamedArrays actual = given.run(VECTOR, 1);
      for (String name : actual.names()) {
        assertThat(Arrays.stream(actual.at(name)).allMatch(Double::isFinite)).as(name).isTrue();
      }
      assertSame(actual, given.run(SCALAR, 1), AGAINST_SCALAR);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void the_number_of_threads_changes_no_bit(SlstmKernel kernel) {
    for (int headDim : new int[] {20, 112}) { // several rows share a pass over R, or more rows
      SlstmCase given = SlstmCase.random(9, 7, 2, headDim).masked();
      NamedArrays expected = given.run(kernel, 1);
      for (int threads : new int[] {2, 3, 7, 19}) {
        assertIdentical(given.run(kernel, threads), expected);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void a_row_in_a_batch_has_the_bits_of_the_row_alone(SlstmKernel kernel) {
    SlstmCase batch = SlstmCase.random(6, 5, 2, 18).masked();
    NamedArrays together = batch.run(kernel, 1);
    for (int row = 0; row < 6; row++) {
      var alone = new SlstmCase(new Size(1, 5, 2, 18));
      for (String name : batch.values.names()) {
        boolean shared = name.equals("r") || name.equals("b");
        double[] all = batch.at(name);
        alone.values.put(name, shared ? all : part(all, 6, row));
      }
      alone.valid = Arrays.copyOfRange(batch.valid, row * 5, row * 5 + 5);
      alone.starts = Arrays.copyOfRange(batch.starts, row * 5, row * 5 + 5);
      NamedArrays actual = alone.run(kernel, 1);
      for (String name : actual.names()) {
        if (!name.equals("dr") && !name.equals("db")) {
          assertThat(actual.at(name)).as(name).containsExactly(part(together.at(name), 6, row));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void memory_of_the_wrong_size_is_refused_by_name(SlstmKernel kernel) {
    SlstmCase given = SlstmCase.random(2, 3, 1, 4);
    given.values.put("r", new double[7]);
    assertThatThrownBy(() -> given.run(kernel, 1))
        .hasMessage("r must be (NH, DH, 4, DH), 256 bytes; it has 28");
  }

  private static void assertSame(NamedArrays actual, NamedArrays expected, double tolerance) {
    assertThat(actual.names()).isEqualTo(expected.names());
    for (String name : actual.names()) {
      assertClose(name, actual.at(name), expected.at(name), tolerance);
    }
  }

  private static void assertIdentical(NamedArrays actual, NamedArrays expected) {
    for (String name : actual.names()) {
      assertThat(actual.at(name)).as(name).containsExactly(expected.at(name));
    }
  }

  private static double[][] quarters(double[] all) {
    var parts = new double[4][];
    Arrays.setAll(parts, i -> part(all, 4, i));
    return parts;
  }

  private static double[] part(double[] all, int count, int index) {
    int length = all.length / count;
    return Arrays.copyOfRange(all, index * length, (index + 1) * length);
  }

  /// `(B, NH, S, DH)` to `(B, S, NH, DH)`.
  private static double[] stepsFirst(double[] from, Size size) {
    var to = new double[from.length];
    int offset = 0;
    for (int row = 0; row < size.batch(); row++) {
      for (int head = 0; head < size.heads(); head++) {
        for (int t = 0; t < size.length(); t++, offset += size.headDim()) {
          System.arraycopy(from, offset, to, (int) size.output(row, t, head), size.headDim());
        }
      }
    }
    return to;
  }

  /// A golden file of the torch module: float64 tensors by name.
  private static final class Fixture {
    private final ByteBuffer bytes;
    private final String header;
    private final int data;

    Fixture(String name) throws IOException {
      Path file = Path.of("..", "torch", "src", "test", "resources", "golden");
      byte[] all = Files.readAllBytes(file.resolve(name + ".safetensors"));
      bytes = ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN);
      int length = (int) bytes.getLong(0);
      header = new String(all, 8, length, StandardCharsets.UTF_8);
      data = 8 + length;
    }

    int[] shape(String name) {
      return numbers(name, "shape");
    }

    double[] values(String name) {
      int[] range = numbers(name, "data_offsets");
      var values = new double[(range[1] - range[0]) / Double.BYTES];
      Arrays.setAll(values, i -> bytes.getDouble(data + range[0] + i * Double.BYTES));
      return values;
    }

    private int[] numbers(String name, String field) {
      Matcher matcher =
          Pattern.compile("\"" + name + "\": ?\\{[^}]*\"" + field + "\": ?\\[([0-9, ]*)\\]")
              .matcher(header);
      if (!matcher.find()) {
        throw new IllegalArgumentException(name);
      }
      return Pattern.compile(", *")
          .splitAsStream(matcher.group(1))
          .mapToInt(Integer::parseInt)
          .toArray();
    }
  }
}
