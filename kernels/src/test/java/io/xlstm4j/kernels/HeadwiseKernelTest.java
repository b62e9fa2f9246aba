package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarHeadwiseKernel;
import io.xlstm4j.kernels.vector.mlstm.VectorHeadwiseKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HeadwiseKernelTest {
  private static final int GAP = 5; // floats between positions

  @ParameterizedTest(name = "{0} positions, {1} heads, {2} to {3}")
  @CsvSource({
    "1, 1, 1, 1",
    "3, 1, 4, 4",
    "8, 3, 4, 4",
    "9, 4, 4, 4",
    "300, 5, 4, 4",
    "1000, 16, 4, 4",
    "300, 17, 4, 4",
    "17, 3, 8, 8",
    "300, 2, 16, 16",
    "129, 3, 4, 8",
    "129, 2, 33, 17",
    "700, 2, 64, 64",
    "5, 7, 1, 3"
  })
  void vectors_give_the_plain_loops_results_with_any_threads(
      int positions, int heads, int in, int out) {
    var shape = new HeadwiseShape(positions, heads, in, out);
    List<float[]> expected = run(new ScalarHeadwiseKernel(), shape);
    List<float[]> first = null;
    for (int threadCount = 1; threadCount <= 3; threadCount++) {
      var threads = new KernelThreads(threadCount);
      List<float[]> actual = run(new VectorHeadwiseKernel(threads), shape);
      threads.close();
      assertClose("y", actual.get(0), expected.get(0), 1e-6);
      assertClose("dx", actual.get(1), expected.get(1), 1e-6);
      assertClose("dw", actual.get(2), expected.get(2), 2e-6); // sums over positions
      if (first == null) {
        first = actual;
      }
      for (int i = 0; i < 3; i++) {
        assertThat(actual.get(i)).isEqualTo(first.get(i));
      }
    }
  }

  @ParameterizedTest(name = "{0} heads, {1} to {2}")
  @CsvSource({"2, 4, 4", "3, 2, 5"})
  void gradients_are_those_of_central_differences(int heads, int in, int out) {
    // The product is linear in each operand, so differences are exact but for rounding.
    var shape = new HeadwiseShape(3, heads, in, out);
    List<float[]> base = run(new ScalarHeadwiseKernel(), shape);
    var random = new Random(1);
    float[] x = gaussian(random, 3 * heads * in);
    float[] w = gaussian(random, shape.floatsOfWeight());
    float[] dy = gaussian(random, 3 * heads * out);
    for (int i = 0; i < x.length; i++) {
      float old = x[i];
      x[i] = old + 1;
      double up = loss(shape, x, w, dy);
      x[i] = old - 1;
      double down = loss(shape, x, w, dy);
      x[i] = old;
      assertThat((up - down) / 2).isCloseTo(base.get(1)[i], within(1e-4));
    }
    for (int i = 0; i < w.length; i++) {
      float old = w[i];
      w[i] = old + 1;
      double up = loss(shape, x, w, dy);
      w[i] = old - 1;
      double down = loss(shape, x, w, dy);
      w[i] = old;
      assertThat((up - down) / 2).isCloseTo(base.get(2)[i], within(1e-4));
    }
  }

  private static double loss(HeadwiseShape shape, float[] x, float[] w, float[] dy) {
    double sum = 0;
    float[] y = run(new ScalarHeadwiseKernel(), shape, x, w, dy).get(0);
    for (int i = 0; i < y.length; i++) {
      sum += (double) y[i] * dy[i];
    }
    return sum;
  }

  private static List<float[]> run(HeadwiseKernel kernel, HeadwiseShape shape) {
    var random = new Random(1);
    return run(
        kernel,
        shape,
        gaussian(random, shape.positions() * shape.heads() * shape.in()),
        gaussian(random, shape.floatsOfWeight()),
        gaussian(random, shape.positions() * shape.heads() * shape.out()));
  }

  /// y, dx, dw.
  private static List<float[]> run(
      HeadwiseKernel kernel, HeadwiseShape shape, float[] x, float[] w, float[] dy) {
    try (Arena arena = Arena.ofShared()) {
      int in = shape.heads() * shape.in();
      int out = shape.heads() * shape.out();
      StridedMatrix xs = rows(arena, x, in);
      StridedMatrix y = rows(arena, new float[dy.length], out);
      StridedMatrix dx = rows(arena, new float[x.length], in);
      MemorySegment weight = arena.allocateFrom(ValueLayout.JAVA_FLOAT, w);
      MemorySegment dw = arena.allocate((long) w.length * Float.BYTES, 64);
      kernel.forward(shape, xs, weight, y);
      kernel.backward(shape, xs, weight, rows(arena, dy, out), dx, false, dw);
      StridedMatrix twice = rows(arena, dense(dx, in), in);
      kernel.backward(shape, xs, weight, rows(arena, dy, out), twice, true, dw);
      float[] once = dense(dx, in);
      float[] doubled = dense(twice, in);
      for (int i = 0; i < once.length; i++) {
        assertThat(doubled[i]).isCloseTo(2 * once[i], within(1e-4f));
      }
      var result = new ArrayList<float[]>();
      result.add(dense(y, out));
      result.add(dense(dx, in));
      result.add(dw.toArray(ValueLayout.JAVA_FLOAT));
      return result;
    }
  }

  private static StridedMatrix rows(Arena arena, float[] data, int width) {
    int positions = data.length / width;
    MemorySegment memory = arena.allocate((long) positions * (width + GAP) * Float.BYTES, 64);
    var result = new StridedMatrix(memory, width + GAP);
    for (int i = 0; i < data.length; i++) {
      result.set(i / width, i % width, data[i]);
    }
    for (int p = 0; p < positions; p++) {
      for (int gap = width; gap < width + GAP; gap++) {
        result.set(p, gap, Float.NaN); // nobody's
      }
    }
    return result;
  }

  private static float[] dense(StridedMatrix rows, int width) {
    int positions = (int) (rows.data().byteSize() / Float.BYTES / rows.stride());
    float[] result = new float[positions * width];
    for (int i = 0; i < result.length; i++) {
      result[i] = rows.get(i / width, i % width);
    }
    for (int p = 0; p < positions; p++) {
      assertThat(rows.get(p, width)).isNaN(); // not written
    }
    return result;
  }

  private static float[] gaussian(Random random, int size) {
    float[] result = new float[size];
    for (int i = 0; i < size; i++) {
      result[i] = (float) random.nextGaussian();
    }
    return result;
  }
}
