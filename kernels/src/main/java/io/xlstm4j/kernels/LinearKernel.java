package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The dense projection `y = x Wᵀ + b` and its gradients: the matrix products of a training step.
///
/// Every element is one sum in the order of the inner index, whatever the number of threads.
public sealed interface LinearKernel permits ScalarLinearKernel, VectorLinearKernel {
  /// @param rows tokens
  /// @param in width of x, I
  /// @param out width of y, O
  record Size(int rows, int in, int out) {
    public Size {
      if (rows < 1 || in < 1 || out < 1) {
        throw new IllegalArgumentException(
            "rows (%d), in (%d) and out (%d) must be positive".formatted(rows, in, out));
      }
    }

    void check(Rows x, MemorySegment w, @Nullable MemorySegment bias, Rows y) {
      x.check("x", rows, in);
      SegmentFloats.check("w", w, (long) in * out, "(O, I)");
      SegmentFloats.check("bias", bias, out, "(O)");
      y.check("y", rows, out);
    }

    void checkPlus(@Nullable Rows plus, int width) {
      if (plus != null) {
        plus.check("plus", rows, width);
      }
    }
  }

  /// `y = x Wᵀ + b + plus`.
  ///
  /// @param x `(rows, I)`
  /// @param w `(O, I)`
  /// @param bias `(O)`, or null for none
  /// @param plus `(rows, O)`, may be `y`; null for none
  /// @param y `(rows, O)`
  /// @throws IllegalArgumentException if a size does not fit
  void forward(
      Size size,
      Rows x,
      MemorySegment w,
      @Nullable MemorySegment bias,
      @Nullable Rows plus,
      Rows y,
      Workers workers);

  /// `dx = dy W + plus`.
  ///
  /// @param dy `(rows, O)`
  /// @param w `(O, I)`
  /// @param plus `(rows, I)`, may be `dx`; null for none
  /// @param dx `(rows, I)`
  /// @throws IllegalArgumentException if a size does not fit
  void backwardInput(
      Size size, Rows dy, MemorySegment w, @Nullable Rows plus, Rows dx, Workers workers);

  /// `dw = dyᵀ x` and `db = Σ dy`; whatever was there is overwritten.
  ///
  /// @param x `(rows, I)`
  /// @param dy `(rows, O)`
  /// @param dw `(O, I)`
  /// @param dBias `(O)`, or null if it is not wanted
  /// @throws IllegalArgumentException if a size does not fit
  void backwardWeight(
      Size size, Rows x, Rows dy, MemorySegment dw, @Nullable MemorySegment dBias, Workers workers);
}
