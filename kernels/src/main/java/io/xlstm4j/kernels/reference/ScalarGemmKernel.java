package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.GemmKernel;

/// [GemmKernel] as plain loops.
public final class ScalarGemmKernel implements GemmKernel {
  @Override
  public void multiply(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    multiply(m, n, k, a, a.stride(), 1, b, b.stride(), 1, c, add);
  }

  @Override
  public void multiplyTransposedLeft(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    multiply(m, n, k, a, 1, a.stride(), b, b.stride(), 1, c, add);
  }

  @Override
  public void multiplyTransposedRight(int m, int n, int k, Block a, Block b, Block c, boolean add) {
    multiply(m, n, k, a, a.stride(), 1, b, 1, b.stride(), c, add);
  }

  /// Element (row, inner) of a is `aRow * row + aStep * inner` from its start, (inner, column) of b
  /// `bStep * inner + bColumn * column`.
  private static void multiply(
      int m,
      int n,
      int k,
      Block a,
      int aRow,
      int aStep,
      Block b,
      int bStep,
      int bColumn,
      Block c,
      boolean add) {
    for (int row = 0; row < m; row++) {
      for (int column = 0; column < n; column++) {
        int offset = c.offset() + row * c.stride() + column;
        float sum = add ? c.data()[offset] : 0;
        for (int inner = 0; inner < k; inner++) {
          sum +=
              a.data()[a.offset() + row * aRow + inner * aStep]
                  * b.data()[b.offset() + inner * bStep + column * bColumn];
        }
        c.data()[offset] = sum;
      }
    }
  }
}
