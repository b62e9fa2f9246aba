package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The norms of the Large family, over the width of each head, scaled by `w` as it is: RMSNorm, or
/// with the mean taken off (docs/math.md 3.1). On request with what the mLSTM layer does next: `out
/// = norm(x) w sigmoid(o)`.
///
/// All memory is float32, contiguous but for `o`; C is NH x DH. Results never depend on the number
/// of threads.
public interface ScaledNormKernel {
  /// @param rows tokens
  /// @param heads NH; 1 for a norm over the whole row
  /// @param headDim DH
  /// @param centered whether the mean is taken off; else RMSNorm
  /// @param epsilon added to the variance or the mean square
  record Size(int rows, int heads, int headDim, boolean centered, float epsilon) {
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

    void checkChannels(String name, MemorySegment memory) {
      SegmentFloats.check(name, memory, channels(), "(NH * DH)");
    }

    public void checkStatistics(MemorySegment memory) {
      SegmentFloats.check("statistics", memory, (long) rows * heads * 2, "(rows, NH, 2)");
    }
  }

  /// @param x `(rows, NH, DH)`
  /// @param weight w `(C)`
  /// @param gate o before its sigmoid `(rows, C)`; null for none
  record Inputs(MemorySegment x, MemorySegment weight, @Nullable StridedMatrix gate) {
    public void check(Size size) {
      size.checkRows("x", x);
      size.checkChannels("weight", weight);
      if (gate != null) {
        gate.check("gate", size.rows, size.channels());
      }
    }
  }

  /// The memory of the gradients; whatever was there is overwritten.
  ///
  /// @param x `(rows, NH, DH)`
  /// @param weight `(C)`
  /// @param gate `(rows, C)`; null exactly if the inputs have none
  /// @param addend read and added to the gradient of x, such as that of a residual `(rows, NH,
  ///   DH)`; null for nothing
  record Gradients(
      MemorySegment x,
      MemorySegment weight,
      @Nullable StridedMatrix gate,
      @Nullable MemorySegment addend) {
    public void check(Size size, Inputs inputs) {
      size.checkRows("gradient of x", x);
      size.checkRows("addend", addend);
      size.checkChannels("gradient of weight", weight);
      if ((gate == null) != (inputs.gate == null)) {
        throw new IllegalArgumentException("inputs and gradients must both have a gate, or none");
      }
      if (gate != null) {
        gate.check("gradient of gate", size.rows, size.channels());
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
  /// @throws IllegalArgumentException if a size does not fit
  void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      KernelThreads threads);
}
