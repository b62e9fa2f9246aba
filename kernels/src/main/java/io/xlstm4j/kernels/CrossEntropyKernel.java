package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// Cross entropy over logits, in nats: `loss_r = log Σ_c exp(x_rc) - x_r,target`.
///
/// Results never depend on the number of threads.
public interface CrossEntropyKernel {
  /// @param rows tokens
  /// @param classes V
  record Size(int rows, int classes) {
    public Size {
      if (rows < 1 || classes < 1) {
        throw new IllegalArgumentException(
            "rows (%d) and classes (%d) must be positive".formatted(rows, classes));
      }
    }

    public void check(StridedMatrix logits, MemorySegment targets, MemorySegment losses) {
      logits.check("logits", rows, classes);
      SegmentFloats.checkBytes("targets", targets, (long) rows * Long.BYTES, "(rows)");
      SegmentFloats.checkBytes("losses", losses, (long) rows * Double.BYTES, "(rows)");
    }

    /// @throws IllegalArgumentException if a target is neither a class nor negative
    public int target(MemorySegment targets, int row) {
      long target = targets.getAtIndex(ValueLayout.JAVA_LONG, row);
      if (target >= classes) {
        throw new IllegalArgumentException(
            "target %d of row %d must be below the number of classes (%d)"
                .formatted(target, row, classes));
      }
      return target < 0 ? IGNORED : (int) target;
    }
  }

  /// A target that counts for nothing.
  int IGNORED = -1;

  /// @param logits `(rows, V)`
  /// @param targets `(rows)` int64; a negative one is ignored
  /// @param losses `(rows)` float64, written; 0 where the target is ignored
  void losses(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      KernelThreads threads);

  /// The same, and the gradient of `scale Σ loss_r` in place of the logits.
  void lossesAndGradient(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      float scale,
      KernelThreads threads);
}
