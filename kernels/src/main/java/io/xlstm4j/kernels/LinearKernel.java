package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The dense projection `y = x Wᵀ + b` and its gradients: the matrix products of a training step.
///
/// Inference has [StoredLinearKernel], which reads weights of any type where they lie, forward
/// only.
///
/// Every element is one sum in the order of the inner index, whatever the number of threads.
public interface LinearKernel {
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

    public void check(StridedMatrix x, StridedMatrix y, @Nullable MemorySegment bias) {
      x.check("x", rows, in);
      SegmentFloats.check("bias", bias, out, "(O)");
      y.check("y", rows, out);
    }

    public void checkWeight(MemorySegment w) {
      SegmentFloats.check("w", w, (long) in * out, "(O, I)");
    }

    public void checkPlus(@Nullable StridedMatrix addend, int width) {
      if (addend != null) {
        addend.check("addend", rows, width);
      }
    }
  }

  /// A weight made ready for one of the products, once for many calls.
  interface Ready {}

  /// Makes `w` `(O, I)` ready for [#forward].
  Ready forForward(int in, int out, MemorySegment w, KernelThreads threads);

  /// Makes `w` `(O, I)` ready for [#backwardInput].
  Ready forBackward(int in, int out, MemorySegment w, KernelThreads threads);

  /// `y = x Wᵀ + b + plus`.
  ///
  /// @param x `(rows, I)`
  /// @param w of [#forForward]
  /// @param bias `(O)`, or null for none
  /// @param addend `(rows, O)`, may be `y`; null for none
  /// @param y `(rows, O)`
  /// @throws IllegalArgumentException if a size does not fit
  void forward(
      Size size,
      StridedMatrix x,
      Ready w,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y,
      KernelThreads threads);

  /// The same with a weight `(O, I)` as it is.
  default void forward(
      Size size,
      StridedMatrix x,
      MemorySegment w,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y,
      KernelThreads threads) {
    size.checkWeight(w);
    forward(size, x, forForward(size.in, size.out, w, threads), bias, addend, y, threads);
  }

  /// `dx = dy W + plus`.
  ///
  /// @param dy `(rows, O)`
  /// @param w of [#forBackward]
  /// @param addend `(rows, I)`, may be `dx`; null for none
  /// @param dx `(rows, I)`
  /// @throws IllegalArgumentException if a size does not fit
  void backwardInput(
      Size size,
      StridedMatrix dy,
      Ready w,
      @Nullable StridedMatrix addend,
      StridedMatrix dx,
      KernelThreads threads);

  /// The same with a weight `(O, I)` as it is.
  default void backwardInput(
      Size size,
      StridedMatrix dy,
      MemorySegment w,
      @Nullable StridedMatrix addend,
      StridedMatrix dx,
      KernelThreads threads) {
    size.checkWeight(w);
    backwardInput(size, dy, forBackward(size.in, size.out, w, threads), addend, dx, threads);
  }

  /// `dw = dyᵀ x` and `db = Σ dy`, in place of what was there, or on top of it if `add`.
  ///
  /// @param x `(rows, I)`
  /// @param dy `(rows, O)`
  /// @param dw `(O, I)`
  /// @param dBias `(O)`, or null if it is not wanted
  /// @throws IllegalArgumentException if a size does not fit
  void backwardWeight(
      Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      boolean add,
      KernelThreads threads);

  /// The same in place of what was there.
  default void backwardWeight(
      Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      KernelThreads threads) {
    backwardWeight(size, x, dy, dw, dBias, false, threads);
  }
}
