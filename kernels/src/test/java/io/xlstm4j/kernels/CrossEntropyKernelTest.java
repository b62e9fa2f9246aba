package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.kernels.block.HeadLossKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarCrossEntropyKernel;
import io.xlstm4j.kernels.vector.VectorCrossEntropyKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CrossEntropyKernelTest {
  private record Result(double[] losses, float[] gradient) {}

  @ParameterizedTest(name = "{0} rows, {1} classes, logits of size {2}")
  @CsvSource({"1, 1, 1", "3, 2, 1", "17, 15, 1", "16, 16, 30", "33, 17, 1", "40, 1000, 10"})
  void vectors_give_the_plain_loops_results_with_any_threads(int rows, int classes, double size) {
    Result expected = run(new ScalarCrossEntropyKernel(), rows, classes, size, 1);
    for (int threadCount = 1; threadCount <= 3; threadCount++) {
      Result actual = run(new VectorCrossEntropyKernel(), rows, classes, size, threadCount);
      for (int row = 0; row < rows; row++) {
        assertThat(actual.losses[row]).isCloseTo(expected.losses[row], within(2e-5));
      }
      for (int i = 0; i < actual.gradient.length; i++) {
        assertThat(actual.gradient[i]).isCloseTo(expected.gradient[i], within(2e-6f));
      }
    }
  }

  @Test
  void the_plain_loops_compute_the_definition() {
    try (Arena arena = Arena.ofConfined()) {
      var size = new CrossEntropyKernel.Size(2, 2);
      StridedMatrix logits =
          new StridedMatrix(floats(arena, 0, (float) Math.log(3), 5, 7), 2); // p = 1/4, 3/4
      MemorySegment losses = arena.allocate(16, 8);
      new ScalarCrossEntropyKernel()
          .lossesAndGradient(size, logits, longs(arena, 1, -1), losses, 10, new KernelThreads(1));
      assertThat(losses.getAtIndex(ValueLayout.JAVA_DOUBLE, 0))
          .isCloseTo(Math.log(4.0 / 3), within(1e-7));
      assertThat(losses.getAtIndex(ValueLayout.JAVA_DOUBLE, 1)).isZero(); // ignored
      assertThat(logits.get(0, 0)).isCloseTo(2.5f, within(1e-6f));
      assertThat(logits.get(0, 1)).isCloseTo(-2.5f, within(1e-6f));
      assertThat(logits.get(1, 0)).isZero();
      assertThat(logits.get(1, 1)).isZero();
    }
  }

  @Test
  void a_target_that_is_no_class_is_refused() {
    try (Arena arena = Arena.ofConfined()) {
      var size = new CrossEntropyKernel.Size(1, 2);
      StridedMatrix logits = new StridedMatrix(floats(arena, 1, 2), 2);
      MemorySegment losses = arena.allocate(8, 8);
      assertThatThrownBy(() ->
              new VectorCrossEntropyKernel()
                  .losses(size, logits, longs(arena, 2), losses, new KernelThreads(1)))
          .hasMessage("target 2 of row 0 must be below the number of classes (2)");
    }
  }

  @ParameterizedTest(name = "vectorized {0}")
  @CsvSource({"true", "false"})
  void head_and_loss_in_parts_are_those_of_all_logits_at_once(boolean vectorized) {
    // 1,200 rows of 4,000 classes do not fit the part of the logits that exists at a time
    int rows = vectorized ? 1200 : 70;
    int classes = vectorized ? 4000 : 40_000;
    int dim = 3;
    Kernels kernels = Kernels.with(2, vectorized);
    try (Arena arena = Arena.ofShared()) {
      var random = new Random(5);
      MemorySegment hidden = gaussian(arena, random, rows * dim, 1);
      MemorySegment w = gaussian(arena, random, classes * dim, 1);
      long[] wanted = random.longs(rows, -1, classes).toArray();
      MemorySegment targets = longs(arena, wanted);
      var size = new HeadLossKernel.Size(rows, dim, classes, 0);
      assertThat(size.rowsAtOnce()).isLessThan(rows);
      MemorySegment scratch = arena.allocate(new HeadLossKernel(kernels).scratchBytes(size), 64);
      MemorySegment dHidden = arena.allocate(hidden.byteSize(), 64);
      MemorySegment dW = arena.allocate(w.byteSize(), 64);
      float scale = 1f / rows;
      double loss =
          new HeadLossKernel(kernels)
              .lossAndGradients(
                  size,
                  hidden,
                  w,
                  targets,
                  scratch,
                  new HeadLossKernel.Gradients(dHidden, dW, scale));
      assertThat(new HeadLossKernel(kernels).loss(size, hidden, w, targets, scratch))
          .isCloseTo(loss, within(1e-9 * loss));

      // all at once, in float64
      double[] expectedHidden = new double[rows * dim];
      double[] expectedW = new double[classes * dim];
      double expected = 0;
      for (int row = 0; row < rows; row++) {
        if (wanted[row] < 0) {
          continue;
        }
        double[] x = new double[classes];
        double sum = 0;
        for (int c = 0; c < classes; c++) {
          for (int d = 0; d < dim; d++) {
            x[c] += (double) get(hidden, row * dim + d) * get(w, c * dim + d);
          }
          sum += Math.exp(x[c]);
        }
        expected += Math.log(sum) - x[(int) wanted[row]];
        for (int c = 0; c < classes; c++) {
          double g = scale * (Math.exp(x[c]) / sum - (c == wanted[row] ? 1 : 0));
          for (int d = 0; d < dim; d++) {
            expectedHidden[row * dim + d] += g * get(w, c * dim + d);
            expectedW[c * dim + d] += g * get(hidden, row * dim + d);
          }
        }
      }
      assertThat(loss).isCloseTo(expected, within(1e-6 * expected));
      for (int i = 0; i < expectedHidden.length; i++) {
        assertThat((double) get(dHidden, i)) // float32 sums of up to 40,000 terms
            .isCloseTo(expectedHidden[i], within(5e-6));
      }
      for (int i = 0; i < expectedW.length; i++) {
        assertThat((double) get(dW, i)).isCloseTo(expectedW[i], within(1e-6));
      }
    } finally {
      kernels.threads().close();
    }
  }

  private static Result run(
      CrossEntropyKernel kernel, int rows, int classes, double size, int threadCount) {
    var random = new Random(rows * 7L + classes);
    var threads = new KernelThreads(threadCount);
    try (Arena arena = Arena.ofShared()) {
      int stride = classes + 3;
      MemorySegment data = gaussian(arena, random, rows * stride, size);
      MemorySegment targets = longs(arena, random.longs(rows, -1, classes).toArray());
      MemorySegment losses = arena.allocate((long) rows * Double.BYTES, 8);
      var shape = new CrossEntropyKernel.Size(rows, classes);
      kernel.losses(shape, new StridedMatrix(data, stride), targets, losses, threads);
      double[] alone = losses.toArray(ValueLayout.JAVA_DOUBLE);
      kernel.lossesAndGradient(
          shape, new StridedMatrix(data, stride), targets, losses, 0.5f, threads);
      assertThat(losses.toArray(ValueLayout.JAVA_DOUBLE)).isEqualTo(alone);
      return new Result(alone, data.toArray(ValueLayout.JAVA_FLOAT));
    } finally {
      threads.close();
    }
  }

  private static float get(MemorySegment data, int index) {
    return data.getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  private static MemorySegment gaussian(Arena arena, Random random, int count, double size) {
    MemorySegment data = arena.allocate((long) count * Float.BYTES, 64);
    for (int i = 0; i < count; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (size * random.nextGaussian()));
    }
    return data;
  }

  private static MemorySegment floats(Arena arena, float... data) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, data);
  }

  private static MemorySegment longs(Arena arena, long... data) {
    return arena.allocateFrom(ValueLayout.JAVA_LONG, data);
  }
}
