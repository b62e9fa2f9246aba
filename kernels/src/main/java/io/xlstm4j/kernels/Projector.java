package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// Products of the rows of a batch with matrices as they lie in a file, `y = x Wᵀ + b`, several
/// side by side on all threads.
///
/// Each element is one sum in an order of its own: neither the number of rows, nor the number of
/// threads, nor the products beside it change a bit. Nothing is allocated in a call.
///
/// Beside [LinearKernel], which trains: that packs float32 weights for many rows and has a backward
/// pass; this reads weights of any type once, where they lie.
public final class Projector {
  /// Weights in one task at most: few enough to spread the work evenly, enough to be worth a task.
  private static final int TASK_WEIGHTS = 1 << 19;

  private static final int TASKS_PER_THREAD = 4;

  /// Floats of W that are widened at a time: for one row they stay in the first cache, for several
  /// in the second.
  private static final int ONE_ROW_FLOATS = 1 << 12;

  private static final int MANY_FLOATS = 1 << 15;
  private static final int MOST_OUTPUTS = 64;
  private static final int ROWS = 64; // of x that are copied at a time
  private static final int MAX_TASKS = 1 << 16;

  /// Rows that are worth no waiting for the compiler.
  private static final int COLD_ROWS = 16;

  private final Workers workers;
  private final Lazy<Forms> forms;
  private final @Nullable Forms cold;
  private final @Nullable WarmUp warmUp;
  private final AtomicReferenceArray<@Nullable Scratch> scratches;
  private final IntConsumer task = this::runTask;

  // of the call under way
  private Part[] parts = new Part[0];
  private Forms now;
  private int rows;
  private int tasks;
  private int[] taskPart = new int[16];
  private int[] taskFirst = new int[16];
  private int[] taskEnd = new int[16];

  /// @param vectorized whether to use the Vector API, which must be there then
  public Projector(Workers workers, boolean vectorized) {
    this(workers, vectorized, null);
  }

  /// @param warmUp says when the Vector API is quick, or null if it is to be used at once
  Projector(Workers workers, boolean vectorized, @Nullable WarmUp warmUp) {
    this.workers = workers;
    this.warmUp = warmUp;
    forms =
        new Lazy<>(() ->
            vectorized
                ? new Forms(
                    new VectorWeightRowsKernel(),
                    new VectorRowsProductKernel(),
                    new StoredProductKernel())
                : new Forms(new ScalarWeightRowsKernel(), new ScalarRowsProductKernel(), null));
    cold =
        warmUp == null
            ? null
            : new Forms(new ScalarWeightRowsKernel(), new LaneRowsProductKernel(), null);
    now = forms(0);
    scratches = new AtomicReferenceArray<>(workers.count());
    for (int i = 0; i < workers.count(); i++) {
      scratches.set(i, new Scratch());
    }
  }

  /// What computes.
  ///
  /// @param stored for one row, where it takes the weights; null without vectors
  private record Forms(
      WeightRowsKernel weights, RowsProductKernel product, @Nullable StoredProductKernel stored) {}

  /// Lane by lane for few rows until the vectors are compiled; both have the same bits.
  private Forms forms(int rowCount) {
    return cold == null || warmUp == null || warmUp.isDone() || rowCount > COLD_ROWS
        ? forms.get()
        : cold;
  }

  /// One product.
  ///
  /// @param w `(out, in)`
  /// @param bias float32 `(out)`, or null
  /// @param x `(rows, in)`
  /// @param y `(rows, out)`, written; must not overlap any x of the same call
  /// @param add whether the product is added to what y holds
  public record Part(
      WeightMatrix w, @Nullable MemorySegment bias, FloatRows x, FloatRows y, boolean add) {}

  /// Computes all `parts` for the first `rowCount` rows of each. Calls from several threads wait
  /// for each other.
  public synchronized void run(int rowCount, Part... all) {
    parts = all;
    rows = rowCount;
    now = forms(rowCount);
    if (warmUp != null && !warmUp.isDone()) {
      noteUses(warmUp);
    }
    plan();
    workers.run(tasks, task);
  }

  private void noteUses(WarmUp noted) {
    noted.use(rows == 1 ? WarmUp.Use.ONE_ROW : WarmUp.Use.SEVERAL_ROWS);
    for (Part part : parts) {
      noted.use(part.w.type());
    }
  }

  /// Writes row `id` of an embedding matrix to row `to` of `rows`.
  public void lookUp(WeightMatrix embedding, int id, FloatRows rows, int to) {
    Scratch scratch = borrow();
    try {
      scratch.fit(1, 1, embedding.columns());
      forms(1).weights.widen(embedding, id, 1, scratch.stored, scratch.x, embedding.columns());
      SegmentFloats.copy(scratch.x, 0, rows.data(), rows.row(to), embedding.columns());
    } finally {
      giveBack(scratch);
    }
  }

  /// Splits the outputs of all parts into tasks of about equal work.
  private void plan() {
    long total = 0;
    for (Part part : parts) {
      total += (long) part.w.rows() * part.w.columns();
    }
    long share = Math.ceilDiv(total, (long) TASKS_PER_THREAD * workers.count());
    long perTask = Math.max(Math.min(TASK_WEIGHTS, share), total / MAX_TASKS + 1);
    tasks = 0;
    for (int p = 0; p < parts.length; p++) {
      WeightMatrix w = parts[p].w;
      int step = Math.clamp(perTask / w.columns(), 4, w.rows() + 3) & ~3; // whole tiles
      for (int first = 0; first < w.rows(); first += step) {
        addTask(p, first, Math.min(w.rows(), first + step));
      }
    }
  }

  private void addTask(int part, int first, int end) {
    if (tasks == taskPart.length) {
      taskPart = Arrays.copyOf(taskPart, 2 * tasks);
      taskFirst = Arrays.copyOf(taskFirst, 2 * tasks);
      taskEnd = Arrays.copyOf(taskEnd, 2 * tasks);
    }
    taskPart[tasks] = part;
    taskFirst[tasks] = first;
    taskEnd[tasks++] = end;
  }

  private void runTask(int number) {
    Scratch scratch = borrow();
    try {
      outputs(parts[taskPart[number]], taskFirst[number], taskEnd[number], scratch);
    } finally {
      giveBack(scratch);
    }
  }

  private void outputs(Part part, int first, int end, Scratch scratch) {
    int inputs = part.w.columns();
    int stride = now.product.stride(inputs);
    int floats = rows == 1 ? ONE_ROW_FLOATS : MANY_FLOATS;
    int block = Math.clamp(floats / stride & ~3, 4, MOST_OUTPUTS);
    @Nullable StoredProductKernel asStored = rows == 1 ? now.stored : null;
    if (asStored != null && !StoredProductKernel.takes(part.w)) { // asked where there are vectors
      asStored = null;
    }
    scratch.fit(Math.min(rows, ROWS), block, stride);
    for (int from = 0; from < rows; from += ROWS) {
      int count = Math.min(ROWS, rows - from);
      for (int row = 0; row < count; row++) {
        long at = part.x.row(from + row);
        read(part.x.data(), at, scratch.x, row * stride, inputs);
        clear(scratch.x, row * stride + inputs, (row + 1) * stride);
      }
      for (int output = first; output < end; output += block) {
        int outputs = Math.min(block, end - output);
        if (asStored != null && outputs % StoredProductKernel.TILE == 0) {
          scratch.stored.read(part.w, output, outputs);
          asStored.multiply(part.w, scratch.stored, outputs, scratch.x, scratch.y, scratch.sums);
        } else {
          widenAndMultiply(part.w, output, outputs, count, stride, scratch);
        }
        store(part, from, count, output, outputs, scratch);
      }
    }
  }

  private void widenAndMultiply(
      WeightMatrix w, int first, int outputs, int count, int stride, Scratch scratch) {
    now.weights.widen(w, first, outputs, scratch.stored, scratch.w, stride);
    for (int o = 0; o < outputs; o++) {
      clear(scratch.w, o * stride + w.columns(), (o + 1) * stride);
    }
    now.product.multiply(count, outputs, stride, scratch.w, scratch.x, scratch.y, scratch.sums);
  }

  private static void clear(float[] data, int from, int end) {
    for (int i = from; i < end; i++) {
      data[i] = 0;
    }
  }

  private void read(MemorySegment from, long at, float[] to, int start, int count) {
    if (now.stored != null) {
      SegmentFloats.read(from, at, to, start, count);
    } else {
      SegmentFloats.copy(from, at, to, start, count);
    }
  }

  private static void store(
      Part part, int from, int count, int output, int outputs, Scratch scratch) {
    float[] values = scratch.y;
    for (int row = 0; row < count; row++) {
      long at = part.y.row(from + row) + output;
      if (part.bias != null) {
        add(part.bias, output, outputs, scratch, row * outputs);
      }
      if (part.add) {
        add(part.y.data(), at, outputs, scratch, row * outputs);
      }
      SegmentFloats.copy(values, row * outputs, part.y.data(), at, outputs);
    }
  }

  private static void add(MemorySegment from, long at, int count, Scratch scratch, int start) {
    SegmentFloats.copy(from, at, scratch.added, 0, count);
    for (int i = 0; i < count; i++) {
      scratch.y[start + i] += scratch.added[i];
    }
  }

  private Scratch borrow() {
    for (int i = 0; ; i = (i + 1) % scratches.length()) { // no more threads than scratches
      Scratch scratch = scratches.getAndSet(i, null);
      if (scratch != null) {
        return scratch;
      }
    }
  }

  private void giveBack(Scratch scratch) {
    for (int i = 0; ; i = (i + 1) % scratches.length()) {
      if (scratches.compareAndSet(i, null, scratch)) {
        return;
      }
    }
  }

  private static final class Scratch {
    private final StoredRows stored = new StoredRows();
    private float[] x = new float[0];
    private float[] w = new float[0];
    private float[] y = new float[0];
    private final float[] added = new float[MOST_OUTPUTS];
    private final float[] sums = new float[RowsProductKernel.SCRATCH];

    void fit(int rows, int outputs, int stride) {
      if (x.length < rows * stride) {
        x = new float[rows * stride];
      }
      if (w.length < outputs * stride) {
        w = new float[outputs * stride];
      }
      if (y.length < rows * outputs) {
        y = new float[rows * outputs];
      }
    }
  }
}
