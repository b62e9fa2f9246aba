package io.xlstm4j.kernels;

/// Products of rows with rows, `y[r, o] = Σ_i x[r, i] w[o, i]`, on one thread.
///
/// The sum runs in one order for each element, whatever the number of rows and outputs beside it: a
/// row alone and the same row among others give the same bits.
public interface GemvKernel {
  /// Floats from one row to the next: `inputs` or a little more, the rest zeros.
  int stride(int inputs);

  /// @param w `(outputs, stride)`, zeros from `inputs` on
  /// @param x `(rows, stride)`, zeros from `inputs` on
  /// @param y `(rows, outputs)`, written
  /// @param scratch at least [#SCRATCH] floats
  void multiply(
      int rows, int outputs, int stride, float[] w, float[] x, float[] y, float[] scratch);

  /// Floats that a call needs for itself.
  int SCRATCH = 16 * 64;
}
