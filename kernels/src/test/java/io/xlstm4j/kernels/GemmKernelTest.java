package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.reference.ScalarGemmKernel;
import io.xlstm4j.kernels.vector.gemm.VectorGemmKernel;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GemmKernelTest {
  private static final int[] SIZES = {1, 3, 4, 5, 8, 16, 17, 33, 64, 83};

  private interface Product {
    void apply(GemmKernel product, int m, int n, int k, Block a, Block b, Block c, boolean add);
  }

  @ParameterizedTest(name = "{0} inner")
  @ValueSource(ints = {1, 2, 7, 16, 33, 64, 200})
  void vectors_give_the_plain_loops_results(int k) {
    for (int m : SIZES) {
      for (int n : SIZES) {
        for (boolean add : new boolean[] {false, true}) {
          check(GemmKernel::multiply, m, n, k, m, k, k, n, add);
          check(GemmKernel::multiplyTransposedLeft, m, n, k, k, m, k, n, add);
          check(GemmKernel::multiplyTransposedRight, m, n, k, m, k, n, k, add);
        }
      }
    }
  }

  private static void check(
      Product product,
      int m,
      int n,
      int k,
      int aRows,
      int aColumns,
      int bRows,
      int bColumns,
      boolean add) {
    var random = new Random(m + 31L * n + 997L * k);
    Block a = block(random, aRows, aColumns);
    Block b = block(random, bRows, bColumns);
    Block expected = block(random, m, n);
    var actual = new Block(expected.data().clone(), expected.offset(), expected.stride());
    float[] before = expected.data().clone();

    product.apply(new ScalarGemmKernel(), m, n, k, a, b, expected, add);
    product.apply(new VectorGemmKernel(), m, n, k, a, b, actual, add);

    // fma rounds once where the loops round twice; a partial sum stays below 8 sqrt(k)
    double tolerance = 1e-6 * Math.sqrt(k) * Math.max(1, Math.sqrt(k) / 4);
    for (int i = 0; i < before.length; i++) {
      int row = (i - expected.offset()) / expected.stride();
      int column = (i - expected.offset()) % expected.stride();
      if (i < expected.offset() || row >= m || column >= n) {
        assertThat(actual.data()[i]).isEqualTo(before[i]); // outside: not written
      } else if (Math.abs(actual.data()[i] - expected.data()[i]) > tolerance) {
        assertThat(actual.data()[i])
            .as("(%d, %d, %d)[%d, %d]", m, n, k, row, column)
            .isEqualTo(expected.data()[i]);
      }
    }
  }

  private static Block block(Random random, int rows, int columns) {
    int stride = columns + 3;
    float[] data = new float[2 + rows * stride];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return new Block(data, 2, stride);
  }
}
