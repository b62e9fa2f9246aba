package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.Close.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.CausalConvKernel.Gradients;
import io.xlstm4j.kernels.CausalConvKernel.Inputs;
import io.xlstm4j.kernels.CausalConvKernel.Size;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarCausalConvKernel;
import io.xlstm4j.kernels.vector.VectorCausalConvKernel;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class CausalConvKernelTest {
  /// Both in float32; only exp differs, and the order of the sums over rows.
  private static final double AGAINST_SCALAR = 5e-6;

  private static final double AGAINST_DOUBLE = 1e-5;

  private static final CausalConvKernel SCALAR = new ScalarCausalConvKernel();
  private static final CausalConvKernel VECTOR = new VectorCausalConvKernel();

  static List<CausalConvKernel> kernels() {
    return List.of(SCALAR, VECTOR);
  }

  static Stream<Arguments> sizes() {
    return Stream.of(
            new int[] {1, 1, 4},
            new int[] {2, 3, 1},
            new int[] {3, 5, 4},
            new int[] {9, 2, 4},
            new int[] {2, 300, 4}) // longer than what one task takes
        .flatMap(size ->
            Stream.of(1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100)
                .map(channels -> Arguments.of(size[0], size[1], channels, size[2])));
  }

  @ParameterizedTest(name = "B {0}, S {1}, C {2}, K {3}")
  @MethodSource("sizes")
  void vectors_equal_plain_loops(int batch, int length, int channels, int kernelSize) {
    var given = new Case(new Size(batch, length, channels, kernelSize));
    assertSame(given.run(VECTOR, 1), given.run(SCALAR, 1), AGAINST_SCALAR);
    given.mask();
    assertSame(given.run(VECTOR, 2), given.run(SCALAR, 2), AGAINST_SCALAR);
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void outputs_and_gradients_are_those_of_the_equation_and_central_differences(
      CausalConvKernel kernel) {
    for (int kernelSize : new int[] {1, 2, 4}) {
      var given = new Case(new Size(4, 6, 3, kernelSize));
      assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
      given.mask();
      assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void the_gradient_of_the_inputs_is_added_to_what_lies_in_its_place(CausalConvKernel kernel) {
    for (int kernelSize : new int[] {1, 2, 4}) {
      var given = new Case(new Size(4, 70, 19, kernelSize)).mask();
      double[] alone = given.run(kernel, 1).at("dx");
      double[] addend = Floats.gaussian(new Random(kernelSize), alone.length);
      given.values.put("addend", addend);
      double[] both = given.run(kernel, 2).at("dx");
      for (int i = 0; i < alone.length; i++) {
        alone[i] += addend[i];
      }
      assertClose("dx", both, alone, AGAINST_SCALAR);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void the_number_of_threads_changes_no_bit(CausalConvKernel kernel) {
    var given = new Case(new Size(3, 200, 70, 4)).mask();
    NamedArrays expected = given.run(kernel, 1);
    for (int threadCount : new int[] {2, 3}) {
      NamedArrays actual = given.run(kernel, threadCount);
      for (String name : actual.names()) {
        assertThat(actual.at(name)).as(name).containsExactly(expected.at(name));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void a_sequence_in_two_calls_has_the_bits_of_one(CausalConvKernel kernel) {
    var whole = new Case(new Size(1, 9, 20, 4));
    double[] expected = whole.run(kernel, 1).at("y");
    var head = new Case(new Size(1, 2, 20, 4)); // shorter than the history
    var tail = new Case(new Size(1, 7, 20, 4));
    for (Case part : List.of(head, tail)) {
      part.values.put("weight", whole.values.at("weight"));
      part.values.put("bias", whole.values.at("bias"));
    }
    head.values.put("x", Arrays.copyOfRange(whole.values.at("x"), 0, 40));
    tail.values.put("x", Arrays.copyOfRange(whole.values.at("x"), 40, 180));
    head.values.put("tail", whole.values.at("tail"));
    NamedArrays first = head.run(kernel, 1);
    tail.values.put("tail", first.at("lastTail"));
    NamedArrays second = tail.run(kernel, 1);

    assertThat(first.at("y")).containsExactly(Arrays.copyOfRange(expected, 0, 40));
    assertThat(second.at("y")).containsExactly(Arrays.copyOfRange(expected, 40, 180));
  }

  @Test
  void memory_of_the_wrong_size_is_refused_by_name() {
    var given = new Case(new Size(1, 2, 3, 4));
    given.values.put("weight", new double[5]);
    assertThatThrownBy(() -> given.run(VECTOR, 1))
        .hasMessage("weight must be (C, K), 48 bytes; it has 20");
  }

  private static void assertSame(NamedArrays actual, NamedArrays expected, double tolerance) {
    for (String name : actual.names()) {
      assertClose(name, actual.at(name), expected.at(name), tolerance);
    }
  }

  private static final class Case {
    final Size size;
    final NamedArrays values = new NamedArrays();
    byte @Nullable [] valid;
    byte @Nullable [] starts;

    Case(Size size) {
      this.size = size;
      var random = new Random(size.channels() * 31L + size.length());
      int tokens = size.batch() * size.length() * size.channels();
      int tail = size.batch() * size.history() * size.channels();
      values.put("x", Floats.gaussian(random, tokens));
      values.put("weight", Floats.gaussian(random, size.channels() * size.kernelSize()));
      values.put("bias", Floats.gaussian(random, size.channels()));
      values.put("tail", Floats.gaussian(random, tail));
      values.put("dy", Floats.gaussian(random, tokens));
      values.put("dLastTail", Floats.gaussian(random, tail));
    }

    Case mask() {
      var random = new Random(size.length());
      valid = new byte[size.batch() * size.length()];
      starts = new byte[valid.length];
      for (int row = 0; row < size.batch(); row++) {
        int tokens = row == 2 ? 0 : size.length() - random.nextInt(size.length());
        for (int t = 0; t < size.length(); t++) {
          valid[row * size.length() + t] = (byte) (t < tokens ? 1 : 0);
          starts[row * size.length() + t] = (byte) (random.nextInt(4) == 0 ? 1 : 0);
        }
      }
      return this;
    }

    NamedArrays run(CausalConvKernel kernel, int threadCount) {
      var threads = new KernelThreads(threadCount);
      try {
        var inputs =
            new Inputs(
                Floats.of(values.at("x")),
                Floats.of(values.at("weight")),
                Floats.of(values.at("bias")),
                Floats.of(values.at("tail")),
                Floats.bytes(valid),
                Floats.bytes(starts));
        int tokens = values.at("x").length;
        int tail = values.at("tail").length;
        var y = Floats.garbage(tokens);
        var lastTail = Floats.garbage(tail);
        kernel.forward(size, inputs, y, lastTail, threads);
        var bias = Floats.garbage(size.channels());
        boolean adds = values.has("addend");
        MemorySegment dx = adds ? Floats.of(values.at("addend")) : Floats.garbage(tokens);
        var to =
            new Gradients(
                dx,
                Floats.garbage((long) size.channels() * size.kernelSize()),
                bias,
                Floats.garbage(tail),
                adds ? dx : null);
        kernel.backward(
            size,
            inputs,
            Floats.of(values.at("dy")),
            Floats.of(values.at("dLastTail")),
            to,
            threads);
        var result = new NamedArrays();
        result.put("y", Floats.read(y));
        result.put("lastTail", Floats.read(lastTail));
        result.put("dx", Floats.read(to.x()));
        result.put("dweight", Floats.read(to.weight()));
        result.put("dbias", Floats.read(bias));
        result.put("dtail", Floats.read(to.tail()));
        return result;
      } finally {
        threads.close();
      }
    }

    NamedArrays differentiate() {
      NamedArrays result = reference();
      for (String leaf : new String[] {"x", "weight", "bias", "tail"}) {
        double[] gradient =
            Floats.differences(
                values.at(leaf),
                _ -> {
                  NamedArrays out = reference();
                  return dot(out.at("y"), values.at("dy"))
                      + dot(out.at("lastTail"), values.at("dLastTail"));
                });
        result.put("d" + leaf, gradient);
      }
      return result;
    }

    /// By document numbers, as the form on tensors has it.
    private NamedArrays reference() {
      int width = size.channels();
      int history = size.history();
      var y = new double[values.at("x").length];
      var last = new double[values.at("tail").length];
      for (int row = 0; row < size.batch(); row++) {
        int steps = history + size.length();
        var known = new double[steps][width];
        var document = new int[steps];
        int tokens = 0;
        for (int s = 0; s < steps; s++) {
          int t = s - history;
          double[] from = values.at(t < 0 ? "tail" : "x");
          int offset = t < 0 ? row * history + s : row * size.length() + t;
          System.arraycopy(from, offset * width, known[s], 0, width);
          boolean start = t >= 0 && starts != null && starts[offset] != 0;
          document[s] = (s == 0 ? 0 : document[s - 1]) + (start ? 1 : 0);
          tokens += t >= 0 && (valid == null || valid[offset] != 0) ? 1 : 0;
        }
        for (int t = 0; t < tokens; t++) {
          for (int c = 0; c < width; c++) {
            double sum = values.at("bias")[c];
            for (int lag = 0; lag <= history; lag++) {
              int s = t + history - lag;
              if (document[s] == document[t + history]) {
                sum += values.at("weight")[c * size.kernelSize() + history - lag] * known[s][c];
              }
            }
            y[(row * size.length() + t) * width + c] = sum / (1 + Math.exp(-sum));
          }
        }
        for (int i = 0; i < history; i++) {
          if (document[tokens + i] == document[tokens + history - 1]) {
            System.arraycopy(known[tokens + i], 0, last, (row * history + i) * width, width);
          }
        }
      }
      var result = new NamedArrays();
      result.put("y", y);
      result.put("lastTail", last);
      return result;
    }

    private static double dot(double[] a, double[] b) {
      double sum = 0;
      for (int i = 0; i < a.length; i++) {
        sum += a[i] * b[i];
      }
      return sum;
    }
  }
}
