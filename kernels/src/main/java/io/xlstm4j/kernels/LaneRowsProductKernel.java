package io.xlstm4j.kernels;

/// [VectorRowsProductKernel] lane by lane, with the same bits, in plain Java.
final class LaneRowsProductKernel implements RowsProductKernel {
  private static final int LANES = LaneMath.LANES;

  @Override
  public int stride(int inputs) {
    return LaneMath.padded(inputs);
  }

  @Override
  public void multiply(
      int rows, int outputs, int stride, float[] w, float[] x, float[] y, float[] scratch) {
    for (int output = 0; output < outputs; output++) {
      for (int row = 0; row < rows; row++) {
        if (LANES == 16) {
          by16(w, output * stride, x, row * stride, stride, scratch);
        } else {
          byLanes(w, output * stride, x, row * stride, stride, scratch);
        }
        y[row * outputs + output] = LaneMath.sum(scratch, 0);
      }
    }
  }

  private static void byLanes(float[] w, int wAt, float[] x, int xAt, int stride, float[] sums) {
    for (int lane = 0; lane < LANES; lane++) {
      float sum = 0;
      for (int i = lane; i < stride; i += LANES) {
        sum = Math.fma(x[xAt + i], w[wAt + i], sum);
      }
      sums[lane] = sum;
    }
  }

  /// Sixteen sums in registers.
  private static void by16(float[] w, int wAt, float[] x, int xAt, int stride, float[] sums) {
    float s0 = 0;
    float s1 = 0;
    float s2 = 0;
    float s3 = 0;
    float s4 = 0;
    float s5 = 0;
    float s6 = 0;
    float s7 = 0;
    float s8 = 0;
    float s9 = 0;
    float s10 = 0;
    float s11 = 0;
    float s12 = 0;
    float s13 = 0;
    float s14 = 0;
    float s15 = 0;
    for (int i = 0; i < stride; i += 16) {
      int a = xAt + i;
      int b = wAt + i;
      s0 = Math.fma(x[a], w[b], s0);
      s1 = Math.fma(x[a + 1], w[b + 1], s1);
      s2 = Math.fma(x[a + 2], w[b + 2], s2);
      s3 = Math.fma(x[a + 3], w[b + 3], s3);
      s4 = Math.fma(x[a + 4], w[b + 4], s4);
      s5 = Math.fma(x[a + 5], w[b + 5], s5);
      s6 = Math.fma(x[a + 6], w[b + 6], s6);
      s7 = Math.fma(x[a + 7], w[b + 7], s7);
      s8 = Math.fma(x[a + 8], w[b + 8], s8);
      s9 = Math.fma(x[a + 9], w[b + 9], s9);
      s10 = Math.fma(x[a + 10], w[b + 10], s10);
      s11 = Math.fma(x[a + 11], w[b + 11], s11);
      s12 = Math.fma(x[a + 12], w[b + 12], s12);
      s13 = Math.fma(x[a + 13], w[b + 13], s13);
      s14 = Math.fma(x[a + 14], w[b + 14], s14);
      s15 = Math.fma(x[a + 15], w[b + 15], s15);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    sums[4] = s4;
    sums[5] = s5;
    sums[6] = s6;
    sums[7] = s7;
    sums[8] = s8;
    sums[9] = s9;
    sums[10] = s10;
    sums[11] = s11;
    sums[12] = s12;
    sums[13] = s13;
    sums[14] = s14;
    sums[15] = s15;
  }
}
