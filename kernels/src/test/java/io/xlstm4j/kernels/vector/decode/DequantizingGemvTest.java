package io.xlstm4j.kernels.vector.decode;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.RandomWeights;
import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightType;
import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import java.util.Random;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DequantizingGemvTest {
  private static final int WIDTH = FloatVector.SPECIES_PREFERRED.length();
  private static final int ROWS = 12;
  private static final int FIRST = 4; // of the rows that are multiplied

  @ParameterizedTest(name = "{0} vectors in a row")
  @ValueSource(ints = {1, 2, 3, 4, 5, 8, 31})
  void the_product_has_the_bits_of_the_one_with_widened_rows(int vectors) {
    int columns = vectors * WIDTH;
    for (WeightType type : new WeightType[] {WeightType.BF16, WeightType.INT8}) {
      int[] groups = type == WeightType.INT8 ? new int[] {32, 64, 128, columns} : new int[1];
      for (int group : groups) {
        WeightMatrix w = RandomWeights.of(type, ROWS, columns, group, 1);
        if (DequantizingGemv.takes(w)) {
          assertThat(stored(w)).as("%s, group %d", type, group).containsExactly(widened(w));
        }
      }
    }
  }

  private static float[] x(WeightMatrix w) {
    float[] x = new float[2 * w.columns()]; // two rows
    var random = new Random(w.columns());
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    return x;
  }

  private static float[] stored(WeightMatrix w) {
    var rows = new StoredRows();
    rows.read(w, FIRST, ROWS - FIRST);
    float[] y = new float[2 * (ROWS - FIRST)];
    for (int row = 0; row < 2; row++) {
      new DequantizingGemv()
          .multiply(w, rows, ROWS - FIRST, x(w), row, y, new float[GemvKernel.SCRATCH]);
    }
    return y;
  }

  private static float[] widened(WeightMatrix w) {
    int outputs = ROWS - FIRST;
    float[] y = new float[2 * outputs];
    float[] wide = new float[outputs * w.columns()];
    new ScalarWeightRowsKernel().widen(w, FIRST, outputs, new StoredRows(), wide, w.columns());
    new VectorGemvKernel()
        .multiply(2, outputs, w.columns(), wide, x(w), y, new float[GemvKernel.SCRATCH]);
    return y;
  }

  @Test
  void rows_of_whole_vectors_are_taken_and_others_are_not() {
    assertThat(takes(WeightType.BF16, 4 * WIDTH, 0)).isEqualTo(WIDTH >= 4);
    assertThat(takes(WeightType.BF16, 4 * WIDTH + 1, 0)).isFalse();
    assertThat(takes(WeightType.INT8, 4 * WIDTH, 4 * WIDTH)).isEqualTo(WIDTH >= 8);
    assertThat(takes(WeightType.INT8, 4 * WIDTH, 2 * WIDTH)).isEqualTo(WIDTH >= 8);
    assertThat(takes(WeightType.F16, 4 * WIDTH, 0)).isFalse();
    assertThat(takes(WeightType.F32, 4 * WIDTH, 0)).isFalse();
  }

  @Test
  void groups_that_end_within_a_vector_are_not_taken() {
    assertThat(takes(WeightType.INT8, 4 * WIDTH, WIDTH + 1)).isFalse();
    assertThat(takes(WeightType.INT8, 4 * WIDTH, WIDTH / 2)).isFalse();
    assertThat(takes(WeightType.INT8, 4 * WIDTH, 3 * WIDTH)).isFalse();
  }

  private static boolean takes(WeightType type, int columns, int group) {
    return DequantizingGemv.takes(RandomWeights.of(type, 4, columns, group, 0));
  }
}
