package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import io.xlstm4j.kernels.vector.decode.VectorGemvKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class StoredLinearKernelTest {
  private static final int[] ROWS = {1, 2, 3, 4, 5, 8, 9, 63, 64, 65, 130};

  @ParameterizedTest(name = "{0} inputs")
  @ValueSource(ints = {1, 7, 15, 16, 17, 64, 100, 513})
  void vectors_give_the_plain_loops_products(int in) {
    for (int out : new int[] {1, 3, 4, 5, 66}) {
      for (int rows : new int[] {1, 3, 4, 9}) {
        var given = new Case(WeightType.F32, out, in, rows);
        double[] expected = Floats.read(given.run(rows, 1, false, true));
        double[] actual = Floats.read(given.run(rows, 2, true, true));
        double tolerance = 4e-7 * in + 1e-6; // as many roundings of a sum of numbers near one
        Close.assertClose("product " + out + " x " + in, actual, expected, tolerance);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void a_row_has_the_same_bits_alone_and_among_others_on_any_number_of_threads(WeightType type) {
    assertBitsOfAllRows(type, 70, 150);
    assertBitsOfAllRows(type, 70, 192); // whole vectors
  }

  private static void assertBitsOfAllRows(WeightType type, int out, int in) {
    var given = new Case(type, out, in, 130);
    double[] all = Floats.read(given.run(130, 1, true, false));
    for (int threadCount : new int[] {1, 2, 3}) {
      for (int rows : ROWS) {
        double[] some = Floats.read(given.run(rows, threadCount, true, false));
        for (int i = 0; i < rows * out; i++) {
          assertThat(some[i]).as("%d rows, output %d", rows, i).isEqualTo(all[i]);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void stored_weights_give_the_bits_of_the_float32_they_stand_for(WeightType type) {
    WeightMatrix stored = RandomWeights.of(type, 37, 90, type == WeightType.INT8 ? 32 : 0, 1);
    float[] wide = new float[37 * 90];
    new ScalarWeightRowsKernel().widen(stored, 0, 37, new StoredRows(), wide, 90);
    MemorySegment copy = MemorySegment.ofArray(wide);
    var x = Floats.of(Floats.gaussian(new Random(1), 5 * 90));
    for (int rows : new int[] {1, 5}) {
      MemorySegment expected = multiply(WeightMatrix.of(WeightType.F32, 37, 90, copy), x, rows);
      assertThat(Floats.read(multiply(stored, x, rows))).containsExactly(Floats.read(expected));
    }
  }

  @ParameterizedTest(name = "{0} inputs")
  @ValueSource(ints = {16, 48, 100, 512})
  void native_memory_gives_the_bits_of_arrays_wherever_it_lies(int in) {
    int[] all = {1, 2, 3, 4, 5, 6, 7, 8, 9, 33};
    for (WeightType type : WeightType.values()) {
      for (int out : new int[] {1, 4, 6, 16, 33}) {
        for (int offset : new int[] {0, 4}) { // bytes, of W
          WeightMatrix w =
              RandomWeights.of(type, out, in, type == WeightType.INT8 ? 16 : 0, offset);
          for (int rows : all) {
            assertBitsOfArrays(w, rows, 64, 0);
            assertBitsOfArrays(w, rows, 64, 16); // x begins at a line of the cache, y too
            assertBitsOfArrays(w, rows, 64, 5);
            assertBitsOfArrays(w, rows, 1, 0); // on the heap
            assertBitsOfArrays(onHeap(w), rows, 64, 0);
          }
        }
      }
    }
  }

  private static WeightMatrix onHeap(WeightMatrix w) {
    MemorySegment data = MemorySegment.ofArray(w.data().toArray(ValueLayout.JAVA_BYTE));
    return new WeightMatrix(w.type(), w.rows(), w.columns(), data, w.scales(), w.group());
  }

  /// @param alignment of x and y; 1 for arrays
  /// @param gap floats before the first row and between rows
  private static void assertBitsOfArrays(WeightMatrix w, int rows, int alignment, int gap) {
    int in = w.columns();
    int out = w.rows();
    double[] values = Floats.gaussian(new Random(rows), rows * in);
    double[] bias = Floats.gaussian(new Random(7), out);
    var x = new MemoryMatrix(memory((in + gap) * rows + gap, alignment), gap, in + gap);
    var y = new MemoryMatrix(memory((out + gap) * rows + gap, alignment), gap, out + gap);
    for (int i = 0; i < rows * in; i++) {
      SegmentFloats.set(x.data(), x.row(i / in) + i % in, (float) values[i]);
    }
    for (long i = 0; i < y.data().byteSize() / Float.BYTES; i++) {
      SegmentFloats.set(y.data(), i, 0.5f);
    }
    var threads = new KernelThreads(2);
    StoredLinearKernels.of(threads, true).run(rows, new Part(w, Floats.of(bias), x, y, true));
    threads.close();

    float[] expected = byArrays(w, values, rows);
    float[] actual = new float[rows * out];
    for (int i = 0; i < actual.length; i++) {
      expected[i] = expected[i] + (float) bias[i % out] + 0.5f;
      actual[i] = SegmentFloats.get(y.data(), y.row(i / out) + i % out);
    }
    assertThat(actual)
        .as("%s, %d rows of %d outputs, gap %d", w.type(), rows, out, gap)
        .isEqualTo(expected);
    for (int row = 0; row < rows; row++) {
      for (int i = 1; i <= gap; i++) {
        assertThat(SegmentFloats.get(y.data(), y.row(row) - i)).isEqualTo(0.5f);
      }
    }
  }

  private static MemorySegment memory(int floats, int alignment) {
    return alignment == 1
        ? MemorySegment.ofArray(new float[floats])
        : Arena.ofAuto().allocate((long) floats * Float.BYTES, alignment);
  }

  private static float[] byArrays(WeightMatrix w, double[] values, int rows) {
    var kernel = new VectorGemvKernel();
    int in = w.columns();
    int stride = kernel.stride(in);
    float[] wide = new float[w.rows() * stride];
    new ScalarWeightRowsKernel().widen(w, 0, w.rows(), new StoredRows(), wide, stride);
    float[] x = new float[rows * stride];
    for (int i = 0; i < rows * in; i++) {
      x[i / in * stride + i % in] = (float) values[i];
    }
    float[] y = new float[rows * w.rows()];
    kernel.multiply(rows, w.rows(), stride, wide, x, y, new float[GemvKernel.SCRATCH]);
    return y;
  }

  @ParameterizedTest
  @EnumSource
  void sums_of_long_sequences_run_in_the_order_of_the_columns(WeightType type) {
    for (int in : new int[] {1, 17, 128, 160, 272}) {
      for (int out : new int[] {1, 31, 32, 70, 760}) {
        for (int tokens : new int[] {48, 49, 61}) {
          for (int offset : new int[] {0, 4}) { // bytes, of W
            int group = type == WeightType.INT8 ? in : 0;
            var w = RandomWeights.of(type, out, in, group, offset);
            assertOrderOfColumns(w, tokens, 1 + tokens % 3, 64, 0);
            assertOrderOfColumns(w, tokens, 2, 64, 5);
            assertOrderOfColumns(onHeap(w), tokens, 2, 1, 3);
          }
        }
      }
    }
  }

  private static void assertOrderOfColumns(
      WeightMatrix w, int tokens, int threadCount, int alignment, int gap) {
    int in = w.columns();
    int out = w.rows();
    float[] wide = new float[out * in];
    new ScalarWeightRowsKernel().widen(w, 0, out, new StoredRows(), wide, in);
    var random = new Random(in + tokens);
    var x = new MemoryMatrix(memory((in + gap) * tokens + gap, alignment), gap, in + gap);
    var y = new MemoryMatrix(memory((out + gap) * tokens + gap, alignment), gap, out + gap);
    MemorySegment bias = Floats.of(Floats.gaussian(random, out));
    float[] expected = new float[tokens * out];
    for (int token = 0; token < tokens; token++) {
      for (int i = 0; i < in; i++) {
        SegmentFloats.set(x.data(), x.row(token) + i, (float) random.nextGaussian());
      }
      for (int o = 0; o < out; o++) {
        SegmentFloats.set(y.data(), y.row(token) + o, 0.5f);
        float sum = 0;
        for (int i = 0; i < in; i++) {
          sum = Math.fma(SegmentFloats.get(x.data(), x.row(token) + i), wide[o * in + i], sum);
        }
        expected[token * out + o] = sum + SegmentFloats.get(bias, o) + 0.5f;
      }
    }
    var threads = new KernelThreads(threadCount);
    StoredLinearKernels.of(threads, true).runSequence(tokens, new Part(w, bias, x, y, true));
    threads.close();
    float[] actual = new float[tokens * out];
    for (int i = 0; i < actual.length; i++) {
      actual[i] = SegmentFloats.get(y.data(), y.row(i / out) + i % out);
    }
    assertThat(actual).as("%s, %d tokens, %d x %d", w.type(), tokens, out, in).isEqualTo(expected);
  }

  @Test
  void short_sequences_have_the_bits_of_rows_with_vectors_and_all_without() {
    var given = new Case(WeightType.F32, 40, 64, 100);
    for (int tokens : new int[] {1, 5, 47}) {
      assertThat(Floats.read(given.runSequence(tokens, true)))
          .containsExactly(Floats.read(given.run(tokens, 2, true, false)));
    }
    assertThat(Floats.read(given.runSequence(100, false)))
        .containsExactly(Floats.read(given.run(100, 2, false, false)));
    assertThat(Floats.read(given.runSequence(48, true)))
        .isNotEqualTo(Floats.read(given.run(48, 2, true, false)));
  }

  @Test
  void parts_of_a_sequence_may_share_x_or_not_from_call_to_call() {
    var threads = new KernelThreads(2);
    StoredLinearKernel storedLinear = StoredLinearKernels.of(threads, true);
    WeightMatrix first = RandomWeights.of(WeightType.F32, 40, 64, 0, 0);
    WeightMatrix second = RandomWeights.of(WeightType.F32, 33, 64, 0, 4);
    MemoryMatrix x = new MemoryMatrix(Floats.of(Floats.gaussian(new Random(1), 50 * 64)), 0, 64);
    MemoryMatrix z = new MemoryMatrix(Floats.of(Floats.gaussian(new Random(2), 50 * 64)), 0, 64);
    for (MemoryMatrix other : new MemoryMatrix[] {x, z, x}) {
      var y = new MemoryMatrix(Floats.garbage(50 * 73), 0, 73);
      storedLinear.runSequence(
          50, new Part(first, null, x, y, false), new Part(second, null, other, y.from(40), false));
      var alone = new MemoryMatrix(Floats.garbage(50 * 73), 0, 73);
      storedLinear.runSequence(50, new Part(first, null, x, alone, false));
      storedLinear.runSequence(50, new Part(second, null, other, alone.from(40), false));
      assertThat(Floats.read(y.data())).containsExactly(Floats.read(alone.data()));
    }
    threads.close();
  }

  @Test
  void memory_that_is_closed_or_too_small_is_refused_before_it_is_read() {
    var threads = new KernelThreads(1);
    StoredLinearKernel storedLinear = StoredLinearKernels.of(threads, true);
    var w = RandomWeights.of(WeightType.F32, 8, 16, 0, 0);
    var x = new MemoryMatrix(Floats.garbage(5 * 16), 0, 16);
    var y = new MemoryMatrix(Floats.garbage(5 * 8), 0, 8);
    assertThatThrownBy(() -> storedLinear.run(6, new Part(w, null, x, y, false)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("x: 6 rows of 16, one every 16 floats from float 0 on, do not fit 320 bytes");
    assertThatThrownBy(() -> storedLinear.run(5, new Part(w, null, x, y.from(1), false)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("y: ");
    WeightMatrix closed;
    MemorySegment bias;
    try (Arena arena = Arena.ofShared()) {
      bias = arena.allocate(8 * Float.BYTES);
      closed = WeightMatrix.of(WeightType.F32, 8, 16, arena.allocate(8 * 16 * Float.BYTES));
    }
    assertThatThrownBy(() -> storedLinear.run(5, new Part(closed, null, x, y, false)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the memory of the weights has been closed");
    assertThatThrownBy(() -> storedLinear.run(5, new Part(w, bias, x, y, false)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the memory of the bias has been closed");
    threads.close();
  }

  private static MemorySegment multiply(WeightMatrix w, MemorySegment x, int rows) {
    MemorySegment y = Floats.garbage((long) rows * w.rows());
    var part =
        new Part(
            w, null, new MemoryMatrix(x, 0, w.columns()), new MemoryMatrix(y, 0, w.rows()), false);
    var threads = new KernelThreads(2);
    StoredLinearKernels.of(threads, true).run(rows, part);
    threads.close();
    return y;
  }

  @Test
  void several_products_side_by_side_write_their_own_columns_and_nothing_else() {
    var threads = new KernelThreads(2);
    StoredLinearKernel storedLinear = StoredLinearKernels.of(threads, true);
    var first = RandomWeights.of(WeightType.F32, 6, 20, 0, 0);
    var second = RandomWeights.of(WeightType.BF16, 5, 10, 0, 0);
    MemorySegment x = Floats.of(Floats.gaussian(new Random(2), 2 * 33));
    MemorySegment y = Floats.garbage(2 * 20);
    var rows = new MemoryMatrix(x, 3, 30);
    var to = new MemoryMatrix(y, 1, 18);
    storedLinear.run(
        2,
        new Part(first, null, rows, to, false),
        new Part(second, null, rows.from(10), to.from(7), false));
    threads.close();
    double[] written = Floats.read(y);
    for (int i = 0; i < written.length; i++) {
      int column = (i - 1) % 18;
      boolean inside = i > 0 && i <= 36 && (column < 6 || (column >= 7 && column < 12));
      assertThat(Double.isNaN(written[i])).as("float " + i).isEqualTo(!inside);
    }
  }

  @Test
  void an_embedding_row_is_the_widened_row() {
    var threads = new KernelThreads(1);
    var w = RandomWeights.of(WeightType.F16, 5, 40, 0, 0);
    MemorySegment y = Floats.garbage(80);
    StoredLinearKernels.of(threads, true).lookUp(w, 3, new MemoryMatrix(y, 0, 40), 1);
    float[] expected = new float[40];
    new ScalarWeightRowsKernel().widen(w, 3, 1, new StoredRows(), expected, expected.length);
    for (int i = 0; i < 40; i++) {
      assertThat(SegmentFloats.get(y, 40 + i)).isEqualTo(expected[i]);
    }
    threads.close();
  }

  /// A product with a bias, added to what was there or not.
  private static final class Case {
    private final WeightMatrix w;
    private final MemorySegment x;
    private final MemorySegment bias;
    private final double[] before;

    Case(WeightType type, int out, int in, int rows) {
      var random = new Random(out + 31L * in);
      w = RandomWeights.of(type, out, in, type == WeightType.INT8 ? 64 : 0, 0);
      x = Floats.of(Floats.gaussian(random, rows * in));
      bias = Floats.of(Floats.gaussian(random, out));
      before = Floats.gaussian(random, rows * out);
    }

    MemorySegment runSequence(int tokens, boolean vectors) {
      var threads = new KernelThreads(2);
      MemorySegment y = Floats.of(before);
      var part =
          new Part(
              w,
              bias,
              new MemoryMatrix(x, 0, w.columns()),
              new MemoryMatrix(y, 0, w.rows()),
              false);
      StoredLinearKernels.of(threads, vectors).runSequence(tokens, part);
      threads.close();
      return y;
    }

    MemorySegment run(int rows, int threadCount, boolean vectors, boolean add) {
      var threads = new KernelThreads(threadCount);
      MemorySegment y = Floats.of(before);
      var part =
          new Part(
              w, bias, new MemoryMatrix(x, 0, w.columns()), new MemoryMatrix(y, 0, w.rows()), add);
      StoredLinearKernels.of(threads, vectors).run(rows, part);
      threads.close();
      return y;
    }
  }
}
