package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.PositionKernels.Headwise;
import io.xlstm4j.kernels.PositionKernels.Norm;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.reference.ScalarPositionKernels;
import io.xlstm4j.kernels.vector.decode.VectorPositionKernels;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class PositionKernelsTest {
  /// Rounding of float32 against float64, over numbers up to a few units.
  private static final double TOLERANCE = 2e-5;

  private static final int ROWS = 3;
  private static final int STRIDE = 140;

  private final Random random = new Random(5);
  private final double[] a = Floats.gaussian(random, ROWS * STRIDE);
  private final double[] b = Floats.gaussian(random, ROWS * STRIDE);
  private final MemorySegment columns = Floats.of(Floats.gaussian(random, STRIDE));

  private interface Work {
    void run(PositionKernels kernels, MemoryMatrix a, MemoryMatrix b);
  }

  /// Runs both kernels on rows 1 and 2, and compares all memory of `b`.
  private void compare(Work work) {
    MemorySegment expected = Floats.of(b);
    MemorySegment actual = Floats.of(b);
    MemorySegment read = Floats.of(a);
    work.run(
        new ScalarPositionKernels(),
        new MemoryMatrix(read, 1, STRIDE),
        new MemoryMatrix(expected, 2, STRIDE));
    work.run(
        new VectorPositionKernels(),
        new MemoryMatrix(read, 1, STRIDE),
        new MemoryMatrix(actual, 2, STRIDE));
    Close.assertClose("rows", Floats.read(actual), Floats.read(expected), TOLERANCE);
    for (int i = 0; i < STRIDE; i++) {
      assertThat((double) SegmentFloats.get(actual, i)).as("row 0, not written").isEqualTo(b[i]);
    }
  }

  @ParameterizedTest(name = "head width {0}")
  @ValueSource(ints = {1, 7, 8, 15, 16, 17, 33, 64})
  void norms_of_vectors_are_those_of_plain_loops(int headDim) {
    for (boolean centered : new boolean[] {false, true}) {
      for (MemorySegment scale : new MemorySegment[] {null, columns}) {
        for (MemorySegment bias : new MemorySegment[] {null, columns}) {
          var norm = new Norm(2, headDim, centered, 1e-2f, scale, bias);
          compare((kernels, x, y) -> kernels.normalize(1, ROWS, norm, x, y));
        }
      }
    }
  }

  @Test
  void a_norm_is_that_of_the_equation() {
    var y = Floats.garbage(4);
    var x = new MemoryMatrix(Floats.of(1, 3, 5, 5), 0, 4);
    for (PositionKernels kernels :
        new PositionKernels[] {new ScalarPositionKernels(), new VectorPositionKernels()}) {
      kernels.normalize(0, 1, new Norm(2, 2, true, 0.1f, null, null), x, new MemoryMatrix(y, 0, 4));
      double scaled = 1 / Math.sqrt(1.1);
      Close.assertClose("layer", Floats.read(y), new double[] {-scaled, scaled, 0, 0}, 1e-6);
      kernels.normalize(0, 1, new Norm(1, 4, false, 0, null, null), x, new MemoryMatrix(y, 0, 4));
      double root = Math.sqrt(15);
      Close.assertClose(
          "RMS", Floats.read(y), new double[] {1 / root, 3 / root, 5 / root, 5 / root}, 1e-6);
    }
  }

  @ParameterizedTest
  @EnumSource
  void gates_of_vectors_are_those_of_plain_loops(Activation activation) {
    for (int width : new int[] {1, 15, 16, 17, 100}) {
      compare((kernels, x, y) -> kernels.gate(1, ROWS, width, activation, x, x.from(9), y));
      compare((kernels, _, y) -> kernels.gate(1, ROWS, width, activation, y, y, y)); // in place
    }
  }

  @Test
  void activations_are_what_their_names_say_also_far_from_zero() {
    double[] x = {-100, -3, -0.5, 0, 0.5, 3, 100};
    check(Activation.SIGMOID, x, v -> 1 / (1 + Math.exp(-v)));
    check(Activation.SWISH, x, v -> v / (1 + Math.exp(-v)));
    check(Activation.RELU, x, v -> Math.max(v, 0));
    check(Activation.RELU_SQUARED, x, v -> v > 0 ? v * v : 0);
    check(
        Activation.SELU,
        x,
        v -> 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * Math.expm1(v)));
  }

  private static void check(
      Activation activation, double[] x, java.util.function.DoubleUnaryOperator function) {
    double[] ones = new double[x.length];
    java.util.Arrays.fill(ones, 1);
    double[] expected = java.util.Arrays.stream(x).map(function).toArray();
    for (PositionKernels kernels :
        new PositionKernels[] {new ScalarPositionKernels(), new VectorPositionKernels()}) {
      MemorySegment y = Floats.garbage(x.length);
      kernels.gate(
          0,
          1,
          x.length,
          activation,
          new MemoryMatrix(Floats.of(x), 0, 0),
          new MemoryMatrix(Floats.of(ones), 0, 0),
          new MemoryMatrix(y, 0, 0));
      double[] actual = Floats.read(y);
      for (int i = 0; i < x.length; i++) {
        Close.assertClose(
            activation + "(" + x[i] + ")",
            new double[] {actual[i]},
            new double[] {expected[i]},
            1e-6 * Math.max(1, Math.abs(expected[i])));
      }
    }
  }

  @ParameterizedTest(name = "{0} columns")
  @ValueSource(ints = {1, 15, 16, 17, 100})
  void scaled_sums_and_soft_caps_of_vectors_are_those_of_plain_loops(int width) {
    compare((kernels, x, y) -> kernels.addScaled(1, ROWS, width, columns, x, y));
    compare((kernels, _, y) -> kernels.softCap(1, ROWS, width, 0.7f, y));
  }

  @ParameterizedTest(name = "blocks of {0}")
  @ValueSource(ints = {1, 2, 4, 5, 20})
  void headwise_products_of_vectors_are_those_of_plain_loops(int block) {
    for (int width : new int[] {20, 100}) {
      MemorySegment weight = Floats.of(Floats.gaussian(random, block * width));
      for (MemorySegment bias : new MemorySegment[] {null, columns}) {
        var projection = new Headwise(width, block, weight, bias);
        compare((kernels, x, y) -> kernels.headwise(1, ROWS, projection, x, y));
      }
    }
  }

  @Test
  void a_headwise_product_reads_its_own_block_only() {
    Consumer<PositionKernels> check =
        kernels -> {
          var y = Floats.garbage(4);
          var projection = new Headwise(4, 2, Floats.of(1, 2, 3, 4, 10, 20, 30, 40), null);
          kernels.headwise(
              0,
              1,
              projection,
              new MemoryMatrix(Floats.of(1, 2, 3, 4), 0, 4),
              new MemoryMatrix(y, 0, 4));
          assertThat(Floats.read(y)).containsExactly(21, 42, 129, 172);
        };
    check.accept(new ScalarPositionKernels());
    check.accept(new VectorPositionKernels());
  }
}
