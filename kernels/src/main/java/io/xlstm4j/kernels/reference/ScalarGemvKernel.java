package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.GemvKernel;

/// [GemvKernel] as plain loops, summed in float64.
public final class ScalarGemvKernel implements GemvKernel {
  @Override
  public int stride(int inputs) {
    return inputs;
  }

  @Override
  public void multiply(
      int rows, int outputs, int stride, float[] w, float[] x, float[] y, float[] scratch) {
    for (int row = 0; row < rows; row++) {
      for (int output = 0; output < outputs; output++) {
        double sum = 0;
        for (int i = 0; i < stride; i++) {
          sum += (double) x[row * stride + i] * w[output * stride + i];
        }
        y[row * outputs + output] = (float) sum;
      }
    }
  }
}
