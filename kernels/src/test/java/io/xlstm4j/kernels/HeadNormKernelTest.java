package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.Close.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.HeadNormKernel.Gate;
import io.xlstm4j.kernels.HeadNormKernel.Gradients;
import io.xlstm4j.kernels.HeadNormKernel.Inputs;
import io.xlstm4j.kernels.HeadNormKernel.Size;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarHeadNormKernel;
import io.xlstm4j.kernels.vector.VectorHeadNormKernel;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class HeadNormKernelTest {
  private static final float EPSILON = 1e-5f;

  /// Both in float32, with sums over a head and over rows in another order. With two units to a
  /// head the deviation can be small, and then differences grow by its reciprocal.
  private static final double AGAINST_SCALAR = 2e-5;

  private static final double AGAINST_DOUBLE = 1e-4;

  private static final HeadNormKernel SCALAR = new ScalarHeadNormKernel();
  private static final HeadNormKernel VECTOR = new VectorHeadNormKernel();

  static List<HeadNormKernel> kernels() {
    return List.of(SCALAR, VECTOR);
  }

  static Stream<Arguments> sizes() {
    return Stream.of(1, 2, 31, 33, 100)
        .flatMap(rows ->
            Stream.of(1, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100)
                .map(width -> Arguments.of(rows, 1 + (rows + width) % 4, width)));
  }

  @ParameterizedTest(name = "{0} rows, NH {1}, DH {2}")
  @MethodSource("sizes")
  void vectors_equal_plain_loops_with_and_without_a_gate(int rows, int heads, int headDim) {
    for (boolean gated : new boolean[] {false, true}) {
      var given = new Case(new Size(rows, heads, headDim), gated);
      assertSame(given.run(VECTOR, 2), given.run(SCALAR, 1), AGAINST_SCALAR);
    }
  }

  /// Heads of whole vectors are otherwise reached by their address, which the heap has none of.
  @Test
  void a_single_result_may_lie_on_the_heap() {
    var given = new Case(new Size(5, 2, 32), true);
    given.onHeap = true;
    assertSame(given.run(VECTOR, 1), given.run(SCALAR, 1), AGAINST_SCALAR);
  }

  /// Both are padded to the same sizes, and share what they work in.
  @Test
  void heads_after_wider_heads_see_nothing_of_them() {
    for (boolean gated : new boolean[] {false, true}) {
      new Case(new Size(5, 3, 16), gated).run(VECTOR, 1);
      var narrow = new Case(new Size(5, 3, 11), gated);
      assertSame(narrow.run(VECTOR, 1), narrow.run(SCALAR, 1), AGAINST_SCALAR);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void outputs_and_gradients_are_those_of_the_equation_and_central_differences(
      HeadNormKernel kernel) {
    for (boolean gated : new boolean[] {false, true}) {
      var given = new Case(new Size(3, 2, 5), gated);
      assertSame(given.run(kernel, 1), given.differentiate(), AGAINST_DOUBLE);
    }
  }

  @ParameterizedTest
  @MethodSource("kernels")
  void the_number_of_threads_changes_no_bit(HeadNormKernel kernel) {
    var given = new Case(new Size(150, 3, 20), true);
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
  void without_a_weight_the_scale_is_one(HeadNormKernel kernel) {
    var threads = new KernelThreads(1);
    var out = Floats.garbage(4);
    var inputs = new Inputs(Floats.of(1, 3, 5, 5), null, null, 0.1f);
    kernel.forward(new Size(1, 2, 2), inputs, out, Floats.garbage(4), threads);
    double scaled = 1 / Math.sqrt(1.1);
    assertClose("out", Floats.read(out), new double[] {-scaled, scaled, 0, 0}, 1e-6);
    threads.close();
  }

  @Test
  void a_gate_without_room_for_its_gradients_is_refused() {
    var given = new Case(new Size(1, 1, 2), true);
    assertThatThrownBy(() ->
            VECTOR.backward(
                given.size,
                given.inputs(),
                Floats.garbage(2),
                Floats.garbage(2),
                new Gradients(Floats.garbage(2), null, null, null),
                new KernelThreads(1)))
        .hasMessage("inputs and gradients must both have a gate, or none");
  }

  private static void assertSame(NamedArrays actual, NamedArrays expected, double tolerance) {
    assertThat(actual.names()).isEqualTo(expected.names());
    for (String name : actual.names()) {
      assertClose(name, actual.at(name), expected.at(name), tolerance);
    }
  }

  private static double[] minus(double[] a, double[] b) {
    double[] difference = a.clone();
    for (int i = 0; i < a.length; i++) {
      difference[i] -= b[i];
    }
    return difference;
  }

  private static final class Case {
    final Size size;
    final boolean gated;
    final NamedArrays values = new NamedArrays();
    boolean onHeap; // the gradients of what the gate reads

    Case(Size size, boolean gated) {
      this.size = size;
      this.gated = gated;
      var random = new Random(size.rows() * 31L + size.headDim());
      int all = size.rows() * size.channels();
      values.put("x", Floats.gaussian(random, all));
      values.put("weight", Floats.gaussian(random, size.channels()));
      if (gated) {
        values.put("skip", Floats.gaussian(random, size.channels()));
        values.put("xc", Floats.gaussian(random, all));
        values.put("z", Floats.gaussian(random, all));
      }
      values.put("dOut", Floats.gaussian(random, all));
    }

    Inputs inputs() {
      @Nullable Gate gate =
          gated
              ? new Gate(
                  Floats.of(values.at("skip")),
                  Floats.of(values.at("xc")),
                  Floats.of(values.at("z")))
              : null;
      return new Inputs(Floats.of(values.at("x")), Floats.of(values.at("weight")), gate, EPSILON);
    }

    private MemorySegment space(long count) {
      MemorySegment garbage = Floats.garbage(count);
      return onHeap ? MemorySegment.ofArray(garbage.toArray(ValueLayout.JAVA_FLOAT)) : garbage;
    }

    NamedArrays run(HeadNormKernel kernel, int threadCount) {
      var threads = new KernelThreads(threadCount);
      try {
        Inputs inputs = inputs();
        long all = values.at("x").length;
        MemorySegment out = Floats.garbage(all);
        MemorySegment statistics = Floats.garbage(2L * size.rows() * size.heads());
        kernel.forward(size, inputs, out, statistics, threads);
        MemorySegment dWeight = Floats.garbage(size.channels());
        @Nullable Gate dGate =
            gated ? new Gate(Floats.garbage(size.channels()), space(all), space(all)) : null;
        var to = new Gradients(Floats.garbage(all), dWeight, dGate, null);
        kernel.backward(size, inputs, statistics, Floats.of(values.at("dOut")), to, threads);
        var residual = Floats.of(values.at("dOut"));
        var more = new Gradients(Floats.garbage(all), dWeight, dGate, residual);
        MemorySegment again = Floats.garbage(all);
        var d = Floats.of(values.at("dOut"));
        kernel.backward(size, inputs, statistics, d, more, again, threads);
        if (onHeap) { // by other loops than the first time
          assertClose("out again", Floats.read(again), Floats.read(out), AGAINST_SCALAR);
        } else {
          assertThat(Floats.read(again)).as("out again").containsExactly(Floats.read(out));
        }
        var result = new NamedArrays();
        result.put("out", Floats.read(out));
        result.put("dx", Floats.read(to.x()));
        assertClose("dx", minus(Floats.read(more.x()), values.at("dOut")), result.at("dx"), 1e-5);
        result.put("dweight", Floats.read(dWeight));
        if (dGate != null) {
          result.put("dskip", Floats.read(dGate.skip()));
          result.put("dxc", Floats.read(dGate.xc()));
          result.put("dz", Floats.read(dGate.z()));
        }
        return result;
      } finally {
        threads.close();
      }
    }

    NamedArrays differentiate() {
      var result = new NamedArrays();
      result.put("out", reference());
      for (String leaf : List.of("x", "weight", "skip", "xc", "z")) {
        if (values.has(leaf)) {
          result.put("d" + leaf, Floats.differences(values.at(leaf), _ -> loss()));
        }
      }
      return result;
    }

    private double loss() {
      double[] out = reference();
      double sum = 0;
      for (int i = 0; i < out.length; i++) {
        sum += out[i] * values.at("dOut")[i];
      }
      return sum;
    }

    private double[] reference() {
      int width = size.headDim();
      double[] x = values.at("x");
      var out = new double[x.length];
      for (int from = 0; from < x.length; from += width) {
        double mean = 0;
        double square = 0;
        for (int i = from; i < from + width; i++) {
          mean += x[i] / width;
          square += x[i] * x[i] / width;
        }
        double deviation = Math.sqrt(square - mean * mean + EPSILON);
        for (int i = from; i < from + width; i++) {
          int channel = i % size.channels();
          out[i] = (x[i] - mean) / deviation * (1 + values.at("weight")[channel]);
          if (gated) {
            double z = values.at("z")[i];
            out[i] += values.at("skip")[channel] * values.at("xc")[i];
            out[i] *= z / (1 + Math.exp(-z));
          }
        }
      }
      return out;
    }
  }
}
