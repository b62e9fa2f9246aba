package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.StoredLinearKernel;
import io.xlstm4j.kernels.StoredRows;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import org.jspecify.annotations.Nullable;

/// [StoredLinearKernel] as plain loops, summed in float64.
public final class ScalarStoredLinearKernel implements StoredLinearKernel {
  /// Weights that one task widens and multiplies; they stay in the second cache.
  private static final int TASK_WEIGHTS = 1 << 15;

  private final KernelThreads threads;
  private final ScalarWeightRowsKernel weights = new ScalarWeightRowsKernel();
  private final ScalarGemvKernel product = new ScalarGemvKernel();

  public ScalarStoredLinearKernel(KernelThreads threads) {
    this.threads = threads;
  }

  /// Outputs `[first, end)` of a part.
  private record Task(Part part, int first, int end) {}

  @Override
  public synchronized void run(int rowCount, Part... parts) {
    var tasks = new ArrayList<Task>();
    for (Part part : parts) {
      part.check(rowCount);
      WeightMatrix w = part.w();
      int step = Math.max(1, TASK_WEIGHTS / w.columns());
      for (int first = 0; first < w.rows(); first += step) {
        tasks.add(new Task(part, first, Math.min(w.rows(), first + step)));
      }
    }
    threads.run(tasks.size(), number -> run(tasks.get(number), rowCount));
  }

  private void run(Task task, int rowCount) {
    Part part = task.part;
    int columns = part.w().columns();
    int outputs = task.end - task.first;
    var w = new float[outputs * columns];
    weights.widen(part.w(), task.first, outputs, new StoredRows(), w, columns);
    var x = new float[columns];
    var y = new float[outputs];
    @Nullable MemorySegment bias = part.bias();
    for (int row = 0; row < rowCount; row++) {
      SegmentFloats.copy(part.x().data(), part.x().row(row), x, 0, columns);
      product.multiply(1, outputs, columns, w, x, y, x);
      for (int o = 0; o < outputs; o++) {
        long offset = part.y().row(row) + task.first + o;
        float sum = bias == null ? y[o] : y[o] + SegmentFloats.get(bias, task.first + o);
        SegmentFloats.set(
            part.y().data(),
            offset,
            part.add() ? sum + SegmentFloats.get(part.y().data(), offset) : sum);
      }
    }
  }

  @Override
  public void runSequence(int tokens, Part... parts) {
    run(tokens, parts);
  }

  @Override
  public void lookUp(WeightMatrix embedding, int id, MemoryMatrix rows, int to) {
    var row = new float[embedding.columns()];
    weights.widen(embedding, id, 1, new StoredRows(), row, row.length);
    SegmentFloats.copy(row, 0, rows.data(), rows.row(to), row.length);
  }
}
