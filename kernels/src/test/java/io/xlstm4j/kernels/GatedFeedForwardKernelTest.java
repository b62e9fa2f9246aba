package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.Close.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.kernels.GatedFeedForwardKernel.Size;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarGatedFeedForwardKernel;
import io.xlstm4j.kernels.vector.VectorGatedFeedForwardKernel;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class GatedFeedForwardKernelTest {
  /// Of the polynomial, 2e-7, times the magnitude of an input.
  private static final double AGAINST_SCALAR = 1e-6;

  private static final GatedFeedForwardKernel SCALAR = new ScalarGatedFeedForwardKernel();
  private static final GatedFeedForwardKernel VECTOR = new VectorGatedFeedForwardKernel();

  static List<GatedFeedForwardKernel> kernels() {
    return List.of(SCALAR, VECTOR);
  }

  @ParameterizedTest(name = "U {0}")
  @ValueSource(ints = {1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 1023, 1024, 1025})
  void vectors_equal_plain_loops(int width) {
    for (int rows : new int[] {1, 2, 9}) {
      var random = new Random(width);
      var size = new Size(rows, width);
      double[] both = Floats.gaussian(random, 2 * rows * width);
      double[] dOut = Floats.gaussian(random, rows * width);
      NamedArrays expected = run(SCALAR, size, both, dOut, 1);
      for (int threadCount : new int[] {1, 3}) {
        NamedArrays actual = run(VECTOR, size, both, dOut, threadCount);
        assertClose("out", actual.at("out"), expected.at("out"), AGAINST_SCALAR);
        assertClose("dBoth", actual.at("dBoth"), expected.at("dBoth"), AGAINST_SCALAR);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void the_function_is_the_exact_gelu_and_not_its_tanh_form(GatedFeedForwardKernel kernel) {
    double[] gates = {-100, -5, -2, -1, 0, 1, 2, 100}; // Φ from tables, to 10 digits
    double[] cdf = {
      0, 2.866515719e-7, 0.0227501319, 0.1586552539, 0.5, 0.8413447461, 0.9772498681, 1
    };
    double[] both = new double[16];
    double[] expected = new double[8];
    for (int i = 0; i < 8; i++) {
      both[i] = gates[i];
      both[8 + i] = 1;
      expected[i] = gates[i] * cdf[i];
    }
    double[] out = run(kernel, new Size(1, 8), both, new double[8], 1).at("out");
    for (int i = 0; i < 8; i++) {
      assertThat(out[i]).isCloseTo(expected[i], within(2e-7 * Math.max(1e-6, Math.abs(gates[i]))));
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void gradients_are_those_of_central_differences(GatedFeedForwardKernel kernel) {
    var random = new Random(5);
    double[] both = Floats.gaussian(random, 20);
    double[] dOut = Floats.gaussian(random, 10);
    double[] expected =
        Floats.differences(
            both,
            offset -> {
              double loss = 0;
              for (int i = 0; i < 10; i++) {
                int gate = i / 5 * 10 + i % 5;
                double x = offset[gate];
                loss += dOut[i] * x * ScalarGatedFeedForwardKernel.normalCdf(x) * offset[gate + 5];
              }
              return loss;
            });
    assertClose("dBoth", run(kernel, new Size(2, 5), both, dOut, 1).at("dBoth"), expected, 1e-6);
  }

  @Test
  void memory_of_the_wrong_size_is_refused_by_name() {
    assertThatThrownBy(() ->
            VECTOR.forward(
                new Size(2, 3), Floats.garbage(12), Floats.garbage(5), new KernelThreads(1)))
        .hasMessage("out must be (rows, U), 24 bytes; it has 20");
  }

  private static NamedArrays run(
      GatedFeedForwardKernel kernel, Size size, double[] both, double[] dOut, int threadCount) {
    var threads = new KernelThreads(threadCount);
    try {
      var out = Floats.garbage(dOut.length);
      var dBoth = Floats.garbage(both.length);
      kernel.forward(size, Floats.of(both), out, threads);
      kernel.backward(size, Floats.of(both), Floats.of(dOut), dBoth, threads);
      var result = new NamedArrays();
      result.put("out", Floats.read(out));
      result.put("dBoth", Floats.read(dBoth));
      return result;
    } finally {
      threads.close();
    }
  }
}
