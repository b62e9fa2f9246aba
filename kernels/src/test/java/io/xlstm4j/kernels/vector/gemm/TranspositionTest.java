package io.xlstm4j.kernels.vector.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.GemmKernel.Block;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TranspositionTest {
  private static final int LANES = FloatVector.SPECIES_PREFERRED.length();
  private static final int BEFORE = 3; // floats before the first row

  private final Transposition transposition = new Transposition();

  @ParameterizedTest(name = "{0} rows")
  @ValueSource(ints = {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 48})
  void rows_of_arrays_become_columns(int rows) {
    for (int columns : new int[] {1, 2, 4, 5, 8, 15, 16, 17, 32, 49}) {
      int fromStride = columns + 5;
      int toStride = rows + 2;
      float[] from = numbers(BEFORE + rows * fromStride);
      float[] to = nothing(1 + columns * toStride);
      transposition.run(
          rows, columns, new Block(from, BEFORE, fromStride), new Block(to, 1, toStride));
      assertThat(to).isEqualTo(transposed(rows, columns, from, fromStride, toStride));
    }
  }

  @ParameterizedTest(name = "{0} vectors of rows")
  @ValueSource(ints = {1, 2, 3})
  void rows_of_native_memory_become_columns(int vectors) {
    int rows = vectors * LANES;
    try (Arena arena = Arena.ofConfined()) {
      for (int columns = LANES; columns <= 4 * LANES; columns += LANES) {
        int fromStride = columns + 5;
        int toStride = rows + 2;
        float[] from = numbers(BEFORE + rows * fromStride);
        float[] to = nothing(1 + columns * toStride);
        MemorySegment memory = arena.allocateFrom(ValueLayout.JAVA_FLOAT, from);
        transposition.run(
            rows,
            columns,
            memory.address() + BEFORE * Float.BYTES,
            (long) fromStride * Float.BYTES,
            new Block(to, 1, toStride));
        assertThat(to).isEqualTo(transposed(rows, columns, from, fromStride, toStride));
      }
    }
  }

  /// Memory beside the columns stays as it was.
  private static float[] transposed(
      int rows, int columns, float[] from, int fromStride, int toStride) {
    float[] to = nothing(1 + columns * toStride);
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        to[1 + column * toStride + row] = from[BEFORE + row * fromStride + column];
      }
    }
    return to;
  }

  private static float[] numbers(int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = i + 1;
    }
    return numbers;
  }

  private static float[] nothing(int count) {
    float[] nothing = new float[count];
    Arrays.fill(nothing, -1);
    return nothing;
  }
}
