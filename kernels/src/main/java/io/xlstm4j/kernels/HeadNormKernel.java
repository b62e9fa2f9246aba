package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Normalization over the width of each head, scaled by `1 + w`, no bias; with one head the norm
/// over the last axis. On request fused with what the mLSTM layer does next: `out = (norm(x) (1 +
/// w) + skip xc) silu(z)`.
///
/// All memory is float32, contiguous, in the order of the shapes given; C is NH x DH. Results never
/// depend on the number of threads.
public interface HeadNormKernel {
  /// @param rows tokens
  /// @param heads NH
  /// @param headDim DH
  record Size(int rows, int heads, int headDim) {
    public Size {
      if (rows < 1 || heads < 1 || headDim < 1) {
        throw new IllegalArgumentException(
            "rows (%d), heads (%d) and headDim (%d) must be positive"
                .formatted(rows, heads, headDim));
      }
    }

    public int channels() {
      return heads * headDim;
    }

    public void checkRows(String name, @Nullable MemorySegment memory) {
      SegmentFloats.check(name, memory, (long) rows * channels(), "(rows, NH, DH)");
    }

    void checkChannels(String name, @Nullable MemorySegment memory) {
      SegmentFloats.check(name, memory, channels(), "(NH * DH)");
    }

    public void checkStatistics(MemorySegment memory) {
      SegmentFloats.check("statistics", memory, (long) rows * heads * 2, "(rows, NH, 2)");
    }
  }

  /// The gate and skip after the norm in an mLSTM layer.
  ///
  /// @param skip learnable skip `(C)`
  /// @param xc convolved input `(rows, C)`
  /// @param z output gate before its SiLU `(rows, C)`
  record Gate(MemorySegment skip, MemorySegment xc, MemorySegment z) {
    void check(String name, Size size) {
      size.checkChannels(name + "skip", skip);
      size.checkRows(name + "xc", xc);
      size.checkRows(name + "z", z);
    }
  }

  /// @param x `(rows, NH, DH)`
  /// @param weight w `(C)`, or null for a scale of one
  /// @param gate null for the norm alone
  /// @param epsilon added to the variance
  record Inputs(
      MemorySegment x, @Nullable MemorySegment weight, @Nullable Gate gate, float epsilon) {
    public void check(Size size) {
      size.checkRows("x", x);
      size.checkChannels("weight", weight);
      if (gate != null) {
        gate.check("", size);
      }
    }
  }

  /// The memory of the gradients; whatever was there is overwritten.
  ///
  /// @param x `(rows, NH, DH)`
  /// @param weight `(C)`, or null if it is not wanted
  /// @param gate of skip, xc and z; null exactly if the inputs have none
  /// @param addend read and added to the gradient of x, such as that of a residual `(rows, NH,
  ///   DH)`; null for nothing
  record Gradients(
      MemorySegment x,
      @Nullable MemorySegment weight,
      @Nullable Gate gate,
      @Nullable MemorySegment addend) {
    public void check(Size size, Inputs inputs) {
      size.checkRows("gradient of x", x);
      size.checkRows("addend", addend);
      size.checkChannels("gradient of weight", weight);
      if ((gate == null) != (inputs.gate == null)) {
        throw new IllegalArgumentException("inputs and gradients must both have a gate, or none");
      }
      if (gate != null) {
        gate.check("gradient of ", size);
      }
    }
  }

  /// @param out `(rows, NH, DH)`
  /// @param statistics mean and reciprocal deviation `(rows, NH, 2)`, for [#backward]
  /// @throws IllegalArgumentException if a size does not fit
  void forward(
      Size size, Inputs inputs, MemorySegment out, MemorySegment statistics, KernelThreads threads);

  /// @param inputs as given to [#forward]
  /// @param statistics that [#forward] wrote
  /// @param dOut gradient of `out` `(rows, NH, DH)`
  /// @param out written with the same bits as by [#forward], at little more than the writing; null
  ///   if it is not wanted
  /// @throws IllegalArgumentException if a size does not fit
  void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment out,
      KernelThreads threads);

  /// The gradients only.
  default void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      KernelThreads threads) {
    backward(size, inputs, statistics, dOut, gradients, null, threads);
  }
}
