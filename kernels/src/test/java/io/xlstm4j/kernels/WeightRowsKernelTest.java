package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import io.xlstm4j.kernels.vector.decode.VectorWeightRowsKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WeightRowsKernelTest {
  private static final int ROWS = 3;

  @ParameterizedTest(name = "{0} columns")
  @ValueSource(ints = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 128, 200, 320})
  void vectors_read_the_same_bits_as_plain_loops_at_any_alignment(int columns) {
    for (WeightType type : WeightType.values()) {
      int[] groups = type == WeightType.INT8 ? new int[] {7, 16, 32, 64, 128, columns} : new int[1];
      for (int group : groups) {
        for (int offset : new int[] {0, 1, 8}) {
          WeightMatrix w = RandomWeights.of(type, ROWS, columns, group, offset);
          for (int stride : new int[] {columns, columns + 3}) {
            float[] expected = widen(new ScalarWeightRowsKernel(), w, stride);
            float[] actual = widen(new VectorWeightRowsKernel(), w, stride);
            assertThat(actual).as("%s, group %d", type, group).containsExactly(expected);
          }
        }
      }
    }
  }

  /// The rows after the first, between numbers that must stay.
  private static float[] widen(WeightRowsKernel kernel, WeightMatrix w, int stride) {
    float[] to = new float[ROWS * stride];
    Arrays.fill(to, 7);
    kernel.widen(w, 1, ROWS - 1, new StoredRows(), to, stride);
    for (int row = 0; row < ROWS - 1; row++) {
      for (int between = w.columns(); between < stride; between++) {
        assertThat(to[row * stride + between]).isEqualTo(7);
      }
    }
    return to;
  }

  @Test
  void every_half_precision_number_is_the_one_that_its_bits_stand_for() {
    int count = 1 << Short.SIZE;
    MemorySegment data = Arena.ofAuto().allocate(2L * count, 2);
    float[] expected = new float[count];
    for (int bits = 0; bits < count; bits++) {
      data.set(ValueLayout.JAVA_SHORT, 2L * bits, (short) bits);
      expected[bits] = half(bits);
    }
    float[] actual = new float[count];
    new VectorWeightRowsKernel()
        .widen(
            WeightMatrix.of(WeightType.F16, 1, count, data), 0, 1, new StoredRows(), actual, count);
    assertThat(actual).containsExactly(expected);
  }

  /// By the definition of binary16: a sign, 5 bits of exponent, 10 of fraction.
  private static float half(int bits) {
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    float size =
        switch (exponent) {
          case 0 -> Math.scalb((float) fraction, -24);
          case 31 -> fraction == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
          default -> Math.scalb(1024f + fraction, exponent - 25);
        };
    return bits >> 15 == 0 ? size : -size;
  }

  @Test
  void bytes_are_signed_and_take_the_scale_of_their_group() {
    MemorySegment data =
        Arena.ofAuto().allocateFrom(ValueLayout.JAVA_BYTE, new byte[] {-128, -1, 0, 1, 127, 2});
    var w = new WeightMatrix(WeightType.INT8, 2, 3, data, Floats.of(0.5, 2, 10, 100), 2);
    float[] row = new float[3];
    new ScalarWeightRowsKernel().widen(w, 0, 1, new StoredRows(), row, 3);
    assertThat(row).containsExactly(-64, -0.5f, 0);
    new ScalarWeightRowsKernel().widen(w.rows(1, 1), 0, 1, new StoredRows(), row, 3);
    assertThat(row).containsExactly(10, 1270, 200);
  }

  @Test
  void memory_that_is_too_short_is_refused() {
    MemorySegment data = Arena.ofAuto().allocate(11);
    assertThatThrownBy(() -> WeightMatrix.of(WeightType.BF16, 2, 3, data))
        .hasMessageContaining("weights");
    assertThatThrownBy(() -> WeightMatrix.of(WeightType.INT8, 2, 3, data))
        .hasMessageContaining("scales");
    assertThatThrownBy(() -> new WeightMatrix(WeightType.INT8, 2, 3, data, Floats.of(1, 1, 1), 2))
        .hasMessageContaining("scales");
  }
}
