package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.Close.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.kernels.block.LargeBlockKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarScaledNormKernel;
import io.xlstm4j.kernels.reference.ScalarSoftCapKernel;
import io.xlstm4j.kernels.reference.ScalarSwiGluKernel;
import io.xlstm4j.kernels.vector.VectorScaledNormKernel;
import io.xlstm4j.kernels.vector.VectorSoftCapKernel;
import io.xlstm4j.kernels.vector.VectorSwiGluKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Soft cap, SwiGLU, the norms and the whole block of the Large family: vectors against plain
/// loops, gradients against differences, the same bits from any number of threads.
class LargeKernelsTest {
  /// Of exp, tanh and the sums over a head in float32.
  private static final double AGAINST_SCALAR = 2e-6;

  private static final double AGAINST_DIFFERENCES = 1e-6;

  private static double[] run(
      int threadCount, Function<KernelThreads, List<MemorySegment>> kernel) {
    var threads = new KernelThreads(threadCount);
    try {
      return kernel.apply(threads).stream()
          .flatMapToDouble(memory -> Arrays.stream(Floats.read(memory)))
          .toArray();
    } finally {
      threads.close();
    }
  }

  private static void assertTwins(
      Function<KernelThreads, List<MemorySegment>> vector,
      Function<KernelThreads, List<MemorySegment>> scalar,
      double tolerance) {
    double[] first = run(1, vector);
    for (int threadCount = 2; threadCount <= 3; threadCount++) {
      assertThat(run(threadCount, vector)).isEqualTo(first);
    }
    assertClose("all", first, run(1, scalar), tolerance);
  }

  // ---- soft cap --------------------------------------------------------------------------------

  private static Function<KernelThreads, List<MemorySegment>> softCap(
      SoftCapKernel kernel, float cap, double[] x, double[] dy) {
    return threads -> {
      MemorySegment y = Floats.garbage(x.length);
      MemorySegment dx = Floats.garbage(x.length);
      kernel.forward(cap, Floats.of(x), y, threads);
      kernel.backward(cap, y, Floats.of(dy), dx, threads);
      return List.of(y, dx);
    };
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 8191, 8192, 8193, 20_000})
  void soft_caps_are_twins(int count) {
    var random = new Random(count);
    double[] x = Floats.gaussian(random, count);
    for (int i = 0; i < count; i++) {
      x[i] *= 20;
    }
    double[] dy = Floats.gaussian(random, count);
    assertTwins(
        softCap(new VectorSoftCapKernel(), 15, x, dy),
        softCap(new ScalarSoftCapKernel(), 15, x, dy),
        AGAINST_SCALAR);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void a_soft_cap_bounds_what_is_large_and_has_the_slope_of_differences(boolean vectorized) {
    SoftCapKernel kernel = vectorized ? new VectorSoftCapKernel() : new ScalarSoftCapKernel();
    double[] x = {-100, -15, -1, 0, 0.001f, 1, 15, 100};
    double[] ones = {1, 1, 1, 1, 1, 1, 1, 1};
    double[] both = run(1, softCap(kernel, 15, x, ones));
    double[] expected = Floats.differences(x, LargeKernelsTest::sumOfCapped);
    for (int i = 0; i < x.length; i++) {
      assertThat(both[i]).isBetween(-15.0, 15.0);
      assertThat(both[x.length + i]).isCloseTo(expected[i], within(AGAINST_DIFFERENCES));
    }
  }

  private static double sumOfCapped(double[] x) {
    double sum = 0;
    for (double value : x) {
      sum += 15 * Math.tanh(value / 15);
    }
    return sum;
  }

  // ---- SwiGLU ----------------------------------------------------------------------------------

  private static Function<KernelThreads, List<MemorySegment>> swiGlu(
      SwiGluKernel kernel, SwiGluKernel.Size size, double[] both, double[] dOut) {
    return threads -> {
      MemorySegment out = Floats.garbage(dOut.length);
      MemorySegment dBoth = Floats.garbage(both.length);
      kernel.forward(size, Floats.of(both), out, threads);
      kernel.backward(size, Floats.of(both), Floats.of(dOut), dBoth, threads);
      return List.of(out, dBoth);
    };
  }

  @ParameterizedTest(name = "U {0}")
  @ValueSource(ints = {1, 7, 15, 16, 17, 33, 100})
  void swiglus_are_twins(int width) {
    for (int rows : new int[] {1, 17, 40}) {
      var random = new Random(width);
      var size = new SwiGluKernel.Size(rows, width);
      double[] both = Floats.gaussian(random, 2 * rows * width);
      both[0] = 100; // the gate's exp alone would overflow
      both[both.length - 1] = -100;
      double[] dOut = Floats.gaussian(random, rows * width);
      assertTwins(
          swiGlu(new VectorSwiGluKernel(), size, both, dOut),
          swiGlu(new ScalarSwiGluKernel(), size, both, dOut),
          AGAINST_SCALAR);
    }
  }

  @Test
  void the_plain_swiglu_has_the_gradient_of_differences() {
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
                loss += dOut[i] * offset[gate] / (1 + Math.exp(-offset[gate])) * offset[gate + 5];
              }
              return loss;
            });
    double[] all =
        run(1, swiGlu(new ScalarSwiGluKernel(), new SwiGluKernel.Size(2, 5), both, dOut));
    assertClose("dBoth", Arrays.copyOfRange(all, 10, 30), expected, AGAINST_DIFFERENCES);
  }

  @Test
  void memory_of_the_wrong_size_is_refused_by_name() {
    assertThatThrownBy(() ->
            new VectorSwiGluKernel()
                .forward(
                    new SwiGluKernel.Size(2, 3),
                    Floats.garbage(12),
                    Floats.garbage(5),
                    new KernelThreads(1)))
        .hasMessage("out must be (rows, U), 24 bytes; it has 20");
    assertThatThrownBy(() ->
            new VectorSoftCapKernel()
                .forward(1, Floats.garbage(2), Floats.garbage(3), new KernelThreads(1)))
        .hasMessage("the other memory must be as long as the first, 8 bytes; it has 12");
  }

  // ---- norms -----------------------------------------------------------------------------------

  /// @param stride of the gate, 0 for none
  private static Function<KernelThreads, List<MemorySegment>> norm(
      ScaledNormKernel kernel, ScaledNormKernel.Size size, int stride, boolean addend) {
    return threads -> {
      var random = new Random(size.channels());
      int count = size.rows() * size.channels();
      @Nullable StridedMatrix gate = gate(stride, Floats.gaussian(random, size.rows() * stride));
      var inputs =
          new ScaledNormKernel.Inputs(
              Floats.of(Floats.gaussian(random, count)),
              Floats.of(Floats.gaussian(random, size.channels())),
              gate);
      MemorySegment out = Floats.garbage(count);
      MemorySegment statistics = Floats.garbage(2L * size.rows() * size.heads());
      kernel.forward(size, inputs, out, statistics, threads);
      MemorySegment dGate = Floats.of(new double[size.rows() * stride]);
      var gradients =
          new ScaledNormKernel.Gradients(
              Floats.garbage(count),
              Floats.garbage(size.channels()),
              stride == 0 ? null : new StridedMatrix(dGate, stride),
              addend ? Floats.of(Floats.gaussian(random, count)) : null);
      MemorySegment dOut = Floats.of(Floats.gaussian(random, count));
      kernel.backward(size, inputs, statistics, dOut, gradients, threads);
      return List.of(out, gradients.x(), gradients.weight(), dGate);
    };
  }

  private static @Nullable StridedMatrix gate(int stride, double[] values) {
    return stride == 0 ? null : new StridedMatrix(Floats.of(values), stride);
  }

  @ParameterizedTest(name = "{0} rows, {1} heads of {2}, centered {3}, gate {4}")
  @CsvSource({
    "1, 1, 3, false, 0",
    "33, 1, 15, false, 0",
    "33, 1, 64, false, 0",
    "1, 1, 17, true, 17",
    "40, 3, 16, true, 60",
    "70, 2, 33, true, 66",
    "2, 4, 7, true, 0",
  })
  void norms_are_twins(int rows, int heads, int headDim, boolean centered, int stride) {
    var size = new ScaledNormKernel.Size(rows, heads, headDim, centered, 1e-6f);
    for (boolean addend : new boolean[] {false, true}) {
      assertTwins(
          norm(new VectorScaledNormKernel(), size, stride, addend),
          norm(new ScalarScaledNormKernel(), size, stride, addend),
          10 * AGAINST_SCALAR); // sums over the rows
    }
  }

  @ParameterizedTest(name = "centered {0}")
  @ValueSource(booleans = {true, false})
  void the_plain_norm_has_the_gradients_of_differences(boolean centered) {
    var random = new Random(2);
    var size = new ScaledNormKernel.Size(2, 2, 5, centered, 1e-3f);
    double[] x = Floats.gaussian(random, 20);
    double[] weight = Floats.gaussian(random, 10);
    double[] gate = Floats.gaussian(random, 20);
    double[] dOut = Floats.gaussian(random, 20);
    var inputs =
        new ScaledNormKernel.Inputs(
            Floats.of(x), Floats.of(weight), new StridedMatrix(Floats.of(gate), 10));
    MemorySegment statistics = Floats.garbage(8);
    MemorySegment gateGradient = Floats.garbage(20);
    var gradients =
        new ScaledNormKernel.Gradients(
            Floats.garbage(20), Floats.garbage(10), new StridedMatrix(gateGradient, 10), null);
    var kernel = new ScalarScaledNormKernel();
    var threads = new KernelThreads(1);
    kernel.forward(size, inputs, Floats.garbage(20), statistics, threads);
    kernel.backward(size, inputs, statistics, Floats.of(dOut), gradients, threads);
    double[] dx = Floats.differences(x, offset -> loss(size, offset, weight, gate, dOut));
    double[] dWeight = Floats.differences(weight, offset -> loss(size, x, offset, gate, dOut));
    double[] dGate = Floats.differences(gate, offset -> loss(size, x, weight, offset, dOut));
    assertClose("dx", Floats.read(gradients.x()), dx, AGAINST_DIFFERENCES);
    assertClose("dWeight", Floats.read(gradients.weight()), dWeight, AGAINST_DIFFERENCES);
    assertClose("dGate", Floats.read(gateGradient), dGate, AGAINST_DIFFERENCES);
  }

  private static double loss(
      ScaledNormKernel.Size size, double[] x, double[] weight, double[] gate, double[] dOut) {
    double loss = 0;
    int width = size.headDim();
    for (int group = 0; group < size.rows() * size.heads(); group++) {
      double mean = 0;
      for (int u = 0; u < width && size.centered(); u++) {
        mean += x[group * width + u] / width;
      }
      double square = 0;
      for (int u = 0; u < width; u++) {
        square += Math.pow(x[group * width + u] - mean, 2) / width;
      }
      for (int u = 0; u < width; u++) {
        int offset = group * width + u;
        double normal = (x[offset] - mean) / Math.sqrt(square + size.epsilon());
        loss +=
            dOut[offset]
                * normal
                * weight[offset % size.channels()]
                / (1 + Math.exp(-gate[offset]));
      }
    }
    return loss;
  }

  // ---- the block -------------------------------------------------------------------------------

  @ParameterizedTest(name = "{0} rows of {1}, {2} heads")
  @CsvSource({"1, 1, 1", "1, 70, 2", "3, 9, 2", "8, 70, 2"})
  void a_block_gives_the_same_bits_with_any_threads(int batch, int length, int heads) {
    List<double[]> first = block(batch, length, heads, 1, true);
    for (int threadCount = 2; threadCount <= 3; threadCount++) {
      List<double[]> other = block(batch, length, heads, threadCount, true);
      for (int i = 0; i < first.size(); i++) {
        assertThat(other.get(i)).as("result " + i).isEqualTo(first.get(i));
      }
    }
    List<double[]> plain = block(batch, length, heads, 1, false);
    for (int i = 0; i < plain.size(); i++) { // sums over up to 560 positions in another order
      assertClose("result " + i, first.get(i), plain.get(i), 2e-4);
    }
  }

  private static List<double[]> block(
      int batch, int length, int heads, int threadCount, boolean vectorized) {
    Kernels kernels = Kernels.with(threadCount, vectorized);
    try {
      var random = new Random(batch);
      var size = new LargeBlockKernel.Size(batch, length, 18, 8, 20, heads, 24, 15, 1e-6f);
      LargeBlockKernel kernel = new LargeBlockKernel(kernels);
      LargeBlockKernel.Weights weights = weights(size, random, 0.4);
      LargeBlockKernel.Weights dWeights = weights(size, random, Double.NaN);
      int count = batch * length * 18;
      MlstmState before = state(size, random, 0.3);
      MlstmState after = state(size, random, Double.NaN);
      MlstmState dAfter = state(size, random, 0.3);
      MlstmState dBefore = state(size, random, Double.NaN);
      var inputs = new LargeBlockKernel.Inputs(floats(random, count, 1), before, null, null);
      MemorySegment saved = bytes(kernel.savedBytes(size));
      MemorySegment out = Floats.garbage(count);
      MemorySegment dx = Floats.garbage(count);
      kernel.forward(
          size, weights, inputs, saved, bytes(kernel.forwardScratchBytes(size)), true, out, after);
      kernel.backward(
          size,
          weights,
          inputs,
          saved,
          bytes(kernel.backwardScratchBytes(size)),
          floats(random, count, 1),
          new MlstmStateGradient(dAfter.c(), dAfter.n()),
          dx,
          dWeights,
          new MlstmStateGradient(dBefore.c(), dBefore.n()));
      var results = new ArrayList<double[]>();
      for (MemorySegment result :
          List.of(
              out,
              after.c(),
              after.n(),
              after.m(),
              dx,
              dBefore.c(),
              dBefore.n(),
              dWeights.norm(),
              dWeights.qkvo(),
              dWeights.gates(),
              dWeights.gateBias(),
              dWeights.headNorm(),
              dWeights.out(),
              dWeights.feedNorm(),
              dWeights.up(),
              dWeights.down())) {
        results.add(Floats.read(result));
      }
      return results;
    } finally {
      kernels.threads().close();
    }
  }

  private static LargeBlockKernel.Weights weights(
      LargeBlockKernel.Size size, Random random, double deviation) {
    int dim = size.dim();
    return new LargeBlockKernel.Weights(
        floats(random, dim, deviation),
        floats(random, (2 * size.qk() + 2 * size.v()) * dim, deviation),
        floats(random, 2 * size.heads() * dim, deviation),
        floats(random, 2 * size.heads(), deviation),
        floats(random, size.v(), deviation),
        floats(random, dim * size.v(), deviation),
        floats(random, dim, deviation),
        floats(random, 2 * size.up() * dim, deviation),
        floats(random, dim * size.up(), deviation));
  }

  private static MlstmState state(LargeBlockKernel.Size size, Random random, double deviation) {
    int qk = size.batch() * size.qk();
    return new MlstmState(
        floats(random, qk * size.v() / size.heads(), deviation),
        floats(random, qk, deviation),
        floats(random, size.batch() * size.heads(), deviation));
  }

  private static MemorySegment floats(Random random, int count, double deviation) {
    double[] values = Floats.gaussian(random, count);
    for (int i = 0; i < count; i++) {
      values[i] *= deviation;
    }
    return Floats.of(values);
  }

  private static MemorySegment bytes(long count) {
    return Arena.ofAuto().allocate(count, 64);
  }
}
