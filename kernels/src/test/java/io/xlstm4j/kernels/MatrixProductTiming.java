package io.xlstm4j.kernels;

import io.xlstm4j.kernels.MatrixProduct.Block;
import java.util.Locale;
import java.util.Random;

/// Prints the speed of the matrix products. Run by hand.
final class MatrixProductTiming {
  private MatrixProductTiming() {}

  public static void main(String[] args) {
    var transposer = new VectorMatrixProduct();
    for (int size : new int[] {16, 32, 33, 64, 128, 256, 64}) {
      time("A B", size, new VectorMatrixProduct()::multiply);
      time("At B", size, new VectorMatrixProduct()::multiplyTransposedLeft);
      time("A Bt", size, new VectorMatrixProduct()::multiplyTransposedRight);
      time("transpose", size, (m, n, k, a, b, c, add) -> transposer.transpose(m, n, b, c));
    }
  }

  private interface Product {
    void apply(int m, int n, int k, Block a, Block b, Block c, boolean add);
  }

  private static void time(String name, int size, Product product) {
    Block a = random(size);
    Block b = random(size);
    Block c = random(size);
    double flops = 2.0 * size * size * size;
    int calls = (int) Math.max(10, 2e8 / flops);
    double best = Double.MAX_VALUE;
    for (int round = 0; round < 20; round++) {
      long from = System.nanoTime();
      for (int i = 0; i < calls; i++) {
        product.apply(size, size, size, a, b, c, false);
      }
      best = Math.min(best, (System.nanoTime() - from) / (double) calls);
    }
    System.out.printf(
        Locale.ROOT, "%-10s %4d: %8.2f us %7.1f GF/s%n", name, size, best / 1e3, flops / best);
  }

  private static Block random(int size) {
    var random = new Random(size);
    float[] data = new float[size * size];
    for (int i = 0; i < data.length; i++) {
      data[i] = (float) random.nextGaussian();
    }
    return new Block(data, 0, size);
  }
}
