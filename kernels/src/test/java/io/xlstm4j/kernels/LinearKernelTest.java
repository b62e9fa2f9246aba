package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.MlstmCase.assertClose;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarLinearKernel;
import io.xlstm4j.kernels.vector.gemm.VectorLinearKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LinearKernelTest {
  private static final int GAP = 3; // floats between rows

  @ParameterizedTest(name = "{0} rows, {1} to {2}, bias and plus: {3}")
  @CsvSource({
    "1, 1, 1, false",
    "1, 16, 64, true",
    "3, 5, 7, true",
    "11, 16, 32, true",
    "12, 128, 31, true",
    "13, 127, 48, true",
    "35, 20, 33, true",
    "36, 256, 64, true",
    "37, 257, 63, true",
    "63, 17, 15, true",
    "64, 16, 16, false",
    "65, 31, 33, true",
    "130, 129, 65, true",
    "129, 130, 131, false",
    "200, 300, 70, true",
    "257, 8, 260, false"
  })
  void vectors_give_the_plain_loops_results_with_any_threads(
      int rows, int in, int out, boolean addend) {
    var size = new LinearKernel.Size(rows, in, out);
    List<float[]> expected = run(new ScalarLinearKernel(), size, addend, 1);
    List<float[]> first = null;
    for (int threadCount = 1; threadCount <= 3; threadCount++) {
      List<float[]> actual = run(new VectorLinearKernel(), size, addend, threadCount);
      String[] names = {"y", "dx", "dw", "db"};
      for (int i = 0; i < names.length; i++) {
        assertClose(names[i], actual.get(i), expected.get(i), 4e-6); // sums of up to 300 products
      }
      if (first == null) {
        first = actual;
      }
      for (int i = 0; i < names.length; i++) {
        assertThat(actual.get(i)).as(names[i]).isEqualTo(first.get(i));
      }
    }
  }

  @Test
  void the_plain_loops_compute_the_products_by_definition() {
    // x = [[1, 2], [3, 4]], W = [[5, 6], [7, 8], [9, 10]]
    try (Arena arena = Arena.ofConfined()) {
      var size = new LinearKernel.Size(2, 2, 3);
      StridedMatrix x = new StridedMatrix(segment(arena, 1, 2, 3, 4), 2);
      MemorySegment w = segment(arena, 5, 6, 7, 8, 9, 10);
      MemorySegment bias = segment(arena, 100, 200, 300);
      StridedMatrix y = new StridedMatrix(segment(arena, new float[6]), 3);
      var threads = new KernelThreads(1);
      var kernel = new ScalarLinearKernel();
      kernel.forward(size, x, w, bias, null, y, threads);
      assertThat(floats(y.data())).containsExactly(117, 223, 329, 139, 253, 367);
      StridedMatrix dx = new StridedMatrix(segment(arena, 1000, 0, 0, 0), 2);
      StridedMatrix dy = new StridedMatrix(segment(arena, 1, 0, 2, 0, 1, 0), 3);
      kernel.backwardInput(size, dy, w, dx, dx, threads);
      assertThat(floats(dx.data())).containsExactly(1023, 26, 7, 8);
      MemorySegment dw = segment(arena, new float[6]);
      MemorySegment db = segment(arena, new float[3]);
      kernel.backwardWeight(size, x, dy, dw, db, threads);
      assertThat(floats(dw)).containsExactly(1, 2, 3, 4, 2, 4);
      assertThat(floats(db)).containsExactly(1, 1, 2);
    }
  }

  @Test
  void memory_that_does_not_fit_is_named() {
    try (Arena arena = Arena.ofConfined()) {
      var size = new LinearKernel.Size(2, 2, 3);
      StridedMatrix x = new StridedMatrix(segment(arena, 1, 2, 3, 4), 2);
      StridedMatrix y = new StridedMatrix(segment(arena, new float[6]), 3);
      assertThatThrownBy(() ->
              new VectorLinearKernel()
                  .forward(size, x, segment(arena, 1), null, null, y, new KernelThreads(1)))
          .hasMessage("w must be (O, I), 24 bytes; it has 4");
    }
  }

  private static List<float[]> run(
      LinearKernel kernel, LinearKernel.Size size, boolean addend, int threadCount) {
    var random = new Random(size.rows());
    var threads = new KernelThreads(threadCount);
    try (Arena arena = Arena.ofShared()) {
      StridedMatrix x = rows(arena, random, size.rows(), size.in());
      MemorySegment w = segment(arena, gaussian(random, size.in() * size.out()));
      MemorySegment bias = segment(arena, gaussian(random, size.out()));
      StridedMatrix y = rows(arena, random, size.rows(), size.out());
      StridedMatrix dy = rows(arena, random, size.rows(), size.out());
      StridedMatrix dx = rows(arena, random, size.rows(), size.in());
      MemorySegment dw = segment(arena, new float[size.in() * size.out()]);
      MemorySegment db = segment(arena, new float[size.out()]);
      kernel.forward(size, x, w, addend ? bias : null, addend ? y : null, y, threads);
      kernel.backwardInput(size, dy, w, addend ? dx : null, dx, threads);
      kernel.backwardWeight(size, x, dy, dw, addend ? db : null, threads);
      var result = new ArrayList<float[]>();
      result.add(floats(y.data()));
      result.add(floats(dx.data()));
      result.add(floats(dw));
      result.add(floats(db));
      return result;
    } finally {
      threads.close();
    }
  }

  /// Memory between the rows is compared too: nobody writes there.
  private static StridedMatrix rows(Arena arena, Random random, int rows, int width) {
    return new StridedMatrix(segment(arena, gaussian(random, rows * (width + GAP))), width + GAP);
  }

  private static float[] gaussian(Random random, int count) {
    float[] data = new float[count];
    for (int i = 0; i < count; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return data;
  }

  private static MemorySegment segment(Arena arena, float... data) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, data);
  }

  private static float[] floats(MemorySegment data) {
    return data.toArray(ValueLayout.JAVA_FLOAT);
  }
}
