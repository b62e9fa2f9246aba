package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// The activation of the Large family's feed-forward, `silu(gate) * up` (docs/math.md 3.9).
///
/// All memory is float32, contiguous; `both` is `(rows, 2 U)`, in each row the gates and then the
/// ups.
public interface SwiGluKernel {
  /// @param rows tokens
  /// @param width U
  record Size(int rows, int width) {
    public Size {
      if (rows < 1 || width < 1) {
        throw new IllegalArgumentException(
            "rows (%d) and width (%d) must be positive".formatted(rows, width));
      }
    }

    public void check(MemorySegment both, String name, MemorySegment out) {
      SegmentFloats.check("both", both, 2L * rows * width, "(rows, 2 U)");
      SegmentFloats.check(name, out, (long) rows * width, "(rows, U)");
    }
  }

  /// @param both `(rows, 2 U)`
  /// @param out `(rows, U)`
  /// @throws IllegalArgumentException if a size does not fit
  void forward(Size size, MemorySegment both, MemorySegment out, KernelThreads threads);

  /// @param both as given to [#forward]
  /// @param dOut gradient of `out` `(rows, U)`
  /// @param dBoth where the gradient of `both` goes `(rows, 2 U)`; may be the memory of `both`
  /// @throws IllegalArgumentException if a size does not fit
  void backward(
      Size size,
      MemorySegment both,
      MemorySegment dOut,
      MemorySegment dBoth,
      KernelThreads threads);
}
