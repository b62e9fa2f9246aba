package io.xlstm4j.runtime;

/// Recurrent kernel and bias of a stored sLSTM cell, in the layouts that computing needs, whichever
/// of the two official layouts the checkpoint has (docs/math.md 1.2).
final class StoredSlstm {
  private final int heads;
  private final int headDim;
  private final float[] kernel; // (NH, DHin, 4, DHout)
  private final float[] bias; // (NH, 4, DH)

  StoredSlstm(Weights weights, String layer, int heads, int headDim) {
    this.heads = heads;
    this.headDim = headDim;
    String name = layer + "slstm_cell._recurrent_kernel_";
    long[] shape = weights.source().info(name).shape();
    float[] storedKernel = weights.floats(name);
    float[] storedBias = weights.floats(layer + "slstm_cell._bias_");
    boolean vanilla = shape[1] == 4 * shape[2];
    kernel = vanilla ? transposed(storedKernel) : storedKernel;
    bias = vanilla ? headsFirst(storedBias) : storedBias;
  }

  /// `(NH, DHin, 4, DHout)`
  float[] kernel() {
    return kernel;
  }

  /// `(NH, 4, DH)`
  float[] bias() {
    return bias;
  }

  /// `(4, NH, DH)`
  float[] biasByGate() {
    float[] byGate = new float[bias.length];
    for (int head = 0; head < heads; head++) {
      for (int gate = 0; gate < 4; gate++) {
        System.arraycopy(
            bias, (head * 4 + gate) * headDim, byGate, (gate * heads + head) * headDim, headDim);
      }
    }
    return byGate;
  }

  /// `(NH, DHout, DHin)`
  float[] kernelOfGate(int gate) {
    float[] of = new float[heads * headDim * headDim];
    for (int head = 0; head < heads; head++) {
      for (int in = 0; in < headDim; in++) {
        for (int out = 0; out < headDim; out++) {
          of[(head * headDim + out) * headDim + in] =
              kernel[((head * headDim + in) * 4 + gate) * headDim + out];
        }
      }
    }
    return of;
  }

  /// Returns the kernel transposed from `(NH, 4 DHout, DHin)`.
  private float[] transposed(float[] stored) {
    float[] turned = new float[stored.length];
    int outs = 4 * headDim;
    for (int head = 0; head < heads; head++) {
      for (int out = 0; out < outs; out++) {
        for (int in = 0; in < headDim; in++) {
          turned[(head * headDim + in) * outs + out] = stored[(head * outs + out) * headDim + in];
        }
      }
    }
    return turned;
  }

  /// Returns the bias transposed from `(4, NH, DH)`.
  private float[] headsFirst(float[] stored) {
    float[] turned = new float[stored.length];
    for (int gate = 0; gate < 4; gate++) {
      for (int head = 0; head < heads; head++) {
        System.arraycopy(
            stored, (gate * heads + head) * headDim, turned, (head * 4 + gate) * headDim, headDim);
      }
    }
    return turned;
  }
}
