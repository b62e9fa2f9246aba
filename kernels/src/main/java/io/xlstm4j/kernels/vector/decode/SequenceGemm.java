package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightRowsKernel;
import io.xlstm4j.kernels.vector.gemm.PackedGemm;
import io.xlstm4j.kernels.vector.gemm.Transposition;

/// `y = x Wᵀ` for the many tokens of a sequence on one thread, as [PackedGemm] does it: each sum
/// runs in the order of the columns.
///
/// W is turned into panels, which stay in the second cache while x goes by, one block of columns
/// after the other. `GemvKernel` sums along vectors instead, in an order that one row can have as
/// well as many.
final class SequenceGemm {
  /// Outputs side by side.
  static final int PANEL = PackedGemm.WIDE;

  /// Weights in a task at most: turned, with the sums, they fit the second cache.
  static final int TASK_WEIGHTS = 1 << 18;

  /// Floats between rows of W before they are turned, or a square of them would meet in one set of
  /// the cache.
  private static final int GAP = 16;

  private final StoredRows stored = new StoredRows();
  private final Transposition transposition = new Transposition();
  private float[] rows = new float[0]; // of W, (PANEL, columns + GAP)
  private float[] panels = new float[0]; // (panels, columns, PANEL)

  /// Floats from one row of y to the next.
  static int stride(int outputs) {
    return Math.ceilDiv(outputs, PANEL) * PANEL;
  }

  /// Floats of y.
  static int floats(int tokens, int outputs) {
    return Math.multiplyExact(PackedActivations.padded(tokens), stride(outputs));
  }

  /// @param inPlace whether W is float32 of whole vectors in memory that may be read at its address
  /// @param outputs from `first` on
  /// @param x `(tokens, columns)`
  /// @param y `(tokens, stride)`, written, behind the outputs with anything
  void multiply(
      WeightRowsKernel widener,
      WeightMatrix w,
      boolean inPlace,
      int first,
      int outputs,
      int tokens,
      PackedActivations x,
      float[] y) {
    int columns = w.columns();
    int stride = stride(outputs);
    panels = StoredLinearTask.fitting(panels, columns * stride);
    for (int output = 0; output < outputs; output += PANEL) {
      int count = Math.min(PANEL, outputs - output);
      turn(widener, w, inPlace, first + output, count, output * columns);
    }
    int all = PackedActivations.padded(tokens);
    for (int column = 0; column < columns; column += PackedGemm.DEEP) {
      int depth = Math.min(PackedGemm.DEEP, columns - column);
      int block = x.block(column);
      for (int output = 0; output < outputs; output += PANEL) {
        int panel = output * columns + column * PANEL;
        PackedGemm.multiply(
            all, depth, x.data(), block, panels, panel, y, output, stride, column > 0);
      }
    }
  }

  /// Rows of W as columns of the panel at `at`.
  private void turn(
      WeightRowsKernel widener, WeightMatrix w, boolean inPlace, int first, int count, int offset) {
    int columns = w.columns();
    var panel = new Block(panels, offset, PANEL);
    if (inPlace && count == PANEL) {
      long rowBytes = (long) columns * Float.BYTES;
      transposition.run(PANEL, columns, w.data().address() + first * rowBytes, rowBytes, panel);
      return;
    }
    int stride = columns + GAP;
    rows = StoredLinearTask.fitting(rows, PANEL * stride);
    widener.widen(w, first, count, stored, rows, stride);
    transposition.run(count, columns, new Block(rows, 0, stride), panel);
  }
}
