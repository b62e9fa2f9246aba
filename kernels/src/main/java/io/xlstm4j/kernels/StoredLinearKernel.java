package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Products of the rows of a batch with matrices as they lie in a file, `y = x Wᵀ + b`, several
/// side by side on all threads.
///
/// Each element of [#run] is one sum in an order of its own: neither the number of rows, nor the
/// number of threads, nor the products beside it change a bit. [#runSequence] is faster for a
/// prompt, in an order that its length may change.
///
/// Beside [LinearKernel], which trains: that packs float32 weights for many rows and has a backward
/// pass; this reads weights of any type once, where they lie.
public interface StoredLinearKernel {
  /// One product.
  ///
  /// @param w `(out, in)`
  /// @param bias float32 `(out)`, or null
  /// @param x `(rows, in)`
  /// @param y `(rows, out)`, written; must not overlap any x of the same call
  /// @param add whether the product is added to what y holds
  record Part(
      WeightMatrix w, @Nullable MemorySegment bias, MemoryMatrix x, MemoryMatrix y, boolean add) {
    /// Checks that all memory is open and large enough; a kernel may then read it at its address.
    ///
    /// @throws IllegalArgumentException if memory is too small for its rows
    /// @throws IllegalStateException if memory has been closed
    public void check(int rows) {
      if (!w.data().scope().isAlive()) {
        throw new IllegalStateException("the memory of the weights has been closed");
      }
      x.check("x", rows, w.columns());
      y.check("y", rows, w.rows());
      if (bias != null) {
        SegmentFloats.expectFloats("bias", bias, w.rows());
        if (!bias.scope().isAlive()) {
          throw new IllegalStateException("the memory of the bias has been closed");
        }
      }
    }
  }

  /// Computes all `parts` for the first `rowCount` rows of each. Calls from several threads wait
  /// for each other. Memory must not be closed during a call: it is read without checks.
  ///
  /// @throws IllegalArgumentException if memory is too small for its rows
  /// @throws IllegalStateException if memory has been closed
  void run(int rowCount, Part... parts);

  /// The same for tokens of one sequence, which need not have the bits of a token alone: where they
  /// are many, each sum runs in the order of the columns, and that is faster. In plain loops the
  /// bits are those of [#run].
  ///
  /// @throws IllegalArgumentException if memory is too small for its rows
  /// @throws IllegalStateException if memory has been closed
  void runSequence(int tokens, Part... parts);

  /// Writes row `id` of an embedding matrix to row `to` of `rows`.
  void lookUp(WeightMatrix embedding, int id, MemoryMatrix rows, int to);
}
