package io.xlstm4j.runtime;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels.Norm;
import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.WeightMatrix;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The head of a model, from the residual stream to logits: the last norm, the output matrix, the
/// soft cap.
final class Head {
  /// Tokens whose logits are computed at a time; each takes V floats.
  private static final int MOST = 64;

  private final Workspace work;
  private final Arena arena;
  private final WeightMatrix matrix;
  private final @Nullable Norm norm;
  private final float cap; // 0 for none
  private final MemoryMatrix normed;
  private MemoryMatrix logits;
  private Part[] fromTheFirst;

  Head(Workspace work, Arena arena, WeightMatrix matrix, @Nullable Norm norm, float cap) {
    this.work = work;
    this.arena = arena;
    this.matrix = matrix;
    this.norm = norm;
    this.cap = cap;
    normed = norm == null ? work.x : work.buffer("normed", matrix.columns());
    logits = memory(1);
    fromTheFirst = new Part[] {new Part(matrix, null, normed, logits, false)};
  }

  private MemoryMatrix memory(int rows) {
    int vocab = matrix.rows();
    return new MemoryMatrix(arena.allocate((long) rows * vocab * Float.BYTES, 64), 0, vocab);
  }

  /// Returns the largest number of tokens in one call.
  int maxTokens() {
    return MOST;
  }

  /// Logits of `count` tokens of the batch from `first` on, in order.
  ///
  /// @return where they are until the next call
  MemoryMatrix forward(int first, int count) {
    if ((long) count * logits.stride() * Float.BYTES > logits.data().byteSize()) {
      logits = memory(Math.min(MOST, Integer.highestOneBit(count) * 2));
      fromTheFirst = new Part[] {new Part(matrix, null, normed, logits, false)};
    }
    if (norm != null) {
      work.kernels.positions().normalize(first, first + count, norm, work.x, normed);
    }
    Part[] parts = fromTheFirst;
    if (first > 0) {
      var from = new MemoryMatrix(normed.data(), normed.row(first), normed.stride());
      parts = new Part[] {new Part(matrix, null, from, logits, false)};
    }
    work.storedLinear.run(count, parts);
    if (cap > 0) {
      work.kernels.positions().softCap(0, count, matrix.rows(), cap, logits);
    }
    return logits;
  }

  /// The memory of one token's logits.
  static MemorySegment one(MemoryMatrix logits, int index) {
    return MlstmCell.slice(logits.data(), logits.row(index), logits.stride());
  }
}
