package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.vector.math.PreJitMath;

/// [VectorGemvKernel] lane by lane, with the same bits, in plain Java.
final class PreJitGemvKernel implements GemvKernel {
  private static final int LANES = PreJitMath.LANES;
  private static final int TILE = 4; // outputs, and lanes

  @Override
  public int stride(int inputs) {
    return PreJitMath.padded(inputs);
  }

  @Override
  public void multiply(
      int rows, int outputs, int stride, float[] w, float[] x, float[] y, float[] scratch) {
    for (int row = 0; row < rows; row++) {
      int output = 0;
      for (; output + TILE <= outputs && LANES % TILE == 0; output += TILE) {
        for (int lane = 0; lane < LANES; lane += TILE) {
          tile(w, output * stride + lane, x, row * stride + lane, stride, scratch, lane);
        }
        for (int i = 0; i < TILE; i++) {
          y[row * outputs + output + i] = PreJitMath.sum(scratch, i * LANES);
        }
      }
      for (; output < outputs; output++) {
        one(w, output * stride, x, row * stride, stride, scratch);
        y[row * outputs + output] = PreJitMath.sum(scratch, 0);
      }
    }
  }

  private static void one(
      float[] w, int wOffset, float[] x, int xOffset, int stride, float[] sums) {
    for (int lane = 0; lane < LANES; lane++) {
      float sum = 0;
      for (int i = lane; i < stride; i += LANES) {
        sum = Math.fma(x[xOffset + i], w[wOffset + i], sum);
      }
      sums[lane] = sum;
    }
  }

  /// Four lanes of four outputs: as many sums as there are registers.
  private static void tile(
      float[] w, int w0, float[] x, int xOffset, int stride, float[] sums, int offset) {
    int w1 = w0 + stride;
    int w2 = w1 + stride;
    int w3 = w2 + stride;
    float s00 = 0;
    float s01 = 0;
    float s02 = 0;
    float s03 = 0;
    float s10 = 0;
    float s11 = 0;
    float s12 = 0;
    float s13 = 0;
    float s20 = 0;
    float s21 = 0;
    float s22 = 0;
    float s23 = 0;
    float s30 = 0;
    float s31 = 0;
    float s32 = 0;
    float s33 = 0;
    for (int i = 0; i < stride; i += LANES) {
      int a = xOffset + i;
      float x0 = x[a];
      float x1 = x[a + 1];
      float x2 = x[a + 2];
      float x3 = x[a + 3];
      s00 = Math.fma(x0, w[w0 + i], s00);
      s01 = Math.fma(x1, w[w0 + i + 1], s01);
      s02 = Math.fma(x2, w[w0 + i + 2], s02);
      s03 = Math.fma(x3, w[w0 + i + 3], s03);
      s10 = Math.fma(x0, w[w1 + i], s10);
      s11 = Math.fma(x1, w[w1 + i + 1], s11);
      s12 = Math.fma(x2, w[w1 + i + 2], s12);
      s13 = Math.fma(x3, w[w1 + i + 3], s13);
      s20 = Math.fma(x0, w[w2 + i], s20);
      s21 = Math.fma(x1, w[w2 + i + 1], s21);
      s22 = Math.fma(x2, w[w2 + i + 2], s22);
      s23 = Math.fma(x3, w[w2 + i + 3], s23);
      s30 = Math.fma(x0, w[w3 + i], s30);
      s31 = Math.fma(x1, w[w3 + i + 1], s31);
      s32 = Math.fma(x2, w[w3 + i + 2], s32);
      s33 = Math.fma(x3, w[w3 + i + 3], s33);
    }
    sums[offset] = s00;
    sums[offset + 1] = s01;
    sums[offset + 2] = s02;
    sums[offset + 3] = s03;
    sums[offset + LANES] = s10;
    sums[offset + LANES + 1] = s11;
    sums[offset + LANES + 2] = s12;
    sums[offset + LANES + 3] = s13;
    sums[offset + 2 * LANES] = s20;
    sums[offset + 2 * LANES + 1] = s21;
    sums[offset + 2 * LANES + 2] = s22;
    sums[offset + 2 * LANES + 3] = s23;
    sums[offset + 3 * LANES] = s30;
    sums[offset + 3 * LANES + 1] = s31;
    sums[offset + 3 * LANES + 2] = s32;
    sums[offset + 3 * LANES + 3] = s33;
  }
}
