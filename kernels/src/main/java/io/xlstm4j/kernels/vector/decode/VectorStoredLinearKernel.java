package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.GemvKernel;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.StoredLinearKernel;
import io.xlstm4j.kernels.WeightMatrix;
import io.xlstm4j.kernels.WeightRowsKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.reference.ScalarWeightRowsKernel;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// [StoredLinearKernel] on the Vector API, which reads weights of native memory at their address.
/// Nothing is allocated in a call.
public final class VectorStoredLinearKernel implements StoredLinearKernel {
  /// Weights in one task at most: few enough to spread the work evenly, enough to be worth a task.
  private static final int TASK_WEIGHTS = 1 << 19;

  /// Outputs of a task of [#run] but the last of a part are a multiple of it: whole tiles.
  private static final int UNIT = 16;

  /// Tokens for which it pays to turn W.
  private static final int LONG = 48;

  private static final int TASKS_PER_THREAD = 4;

  private static final int MAX_TASKS = 1 << 16;

  /// Rows that are worth no waiting for the compiler.
  private static final int COLD_ROWS = 16;

  private final KernelThreads threads;
  private final Lazy<Forms> forms;
  private final @Nullable Forms cold;
  private final @Nullable JitWarmUp jitWarmUp;
  private final AtomicReferenceArray<@Nullable StoredLinearTask> kept;
  private final IntConsumer task = this::runTask;
  private final IntConsumer sequenceTask = this::runSequenceTask;
  private float[] @Nullable [] rooms = {}; // for x of each part

  // of the call under way
  private PackedActivations[] packed = {}; // of each part
  private Part[] parts = new Part[0];
  private Forms now;
  private int rows;
  private int tasks;
  private int[] taskPart = new int[16];
  private int[] taskFirst = new int[16];
  private int[] taskEnd = new int[16];

  /// @param jitWarmUp says when the Vector API is quick, or null if it is to be used at once
  VectorStoredLinearKernel(KernelThreads threads, @Nullable JitWarmUp jitWarmUp) {
    this.threads = threads;
    this.jitWarmUp = jitWarmUp;
    forms =
        new Lazy<>(() ->
            new Forms(
                new VectorWeightRowsKernel(),
                new VectorGemvKernel(),
                new DequantizingGemv(),
                NativeGemv.isAvailable()));
    cold =
        jitWarmUp == null
            ? null
            : new Forms(new ScalarWeightRowsKernel(), new PreJitGemvKernel(), null, false);
    now = forms(0);
    kept = new AtomicReferenceArray<>(threads.count());
    for (int i = 0; i < threads.count(); i++) {
      kept.set(i, new StoredLinearTask());
    }
  }

  /// The part that computes.
  ///
  /// @param stored for one row, where it takes the weights; null lane by lane
  /// @param isNative whether memory may be read at its address
  record Forms(
      WeightRowsKernel weights,
      GemvKernel product,
      @Nullable DequantizingGemv stored,
      boolean isNative) {}

  /// Lane by lane for few rows until the vectors are compiled; both have the same bits.
  private Forms forms(int rowCount) {
    return cold == null || jitWarmUp == null || jitWarmUp.isDone() || rowCount > COLD_ROWS
        ? forms.get()
        : cold;
  }

  @Override
  public synchronized void run(int rowCount, Part... all) {
    begin(rowCount, all);
    now = forms(rowCount);
    plan(TASK_WEIGHTS, UNIT);
    threads.run(tasks, task);
  }

  @Override
  public synchronized void runSequence(int tokens, Part... all) {
    if (tokens < LONG) {
      run(tokens, all);
      return;
    }
    begin(tokens, all);
    now = forms.get();
    pack();
    plan(SequenceGemm.TASK_WEIGHTS, SequenceGemm.PANEL);
    threads.run(tasks, sequenceTask);
  }

  private void begin(int rowCount, Part[] all) {
    for (Part part : all) {
      part.check(rowCount);
    }
    parts = all;
    rows = rowCount;
    if (jitWarmUp != null && !jitWarmUp.isDone()) {
      noteUses(jitWarmUp);
    }
  }

  /// Packs x of every part, once where parts have it in common.
  private void pack() {
    if (packed.length < parts.length) {
      packed = Arrays.copyOf(packed, parts.length);
      rooms = Arrays.copyOf(rooms, parts.length);
    }
    for (int p = 0; p < parts.length; p++) {
      MemoryMatrix x = parts[p].x();
      int columns = parts[p].w().columns();
      int same = 0;
      while (same < p && !packed[same].isOf(x, columns)) {
        same++;
      }
      if (same < p) {
        packed[p] = packed[same];
      } else {
        packed[p] = new PackedActivations(x, rows, columns, rooms[p]);
        rooms[p] = packed[p].data();
        threads.run(packed[p].slices(), packed[p]::pack);
      }
    }
  }

  private void noteUses(JitWarmUp noted) {
    noted.use(rows == 1 ? JitWarmUp.Use.ONE_ROW : JitWarmUp.Use.SEVERAL_ROWS);
    for (Part part : parts) {
      noted.use(part.w().type());
    }
  }

  @Override
  public void lookUp(WeightMatrix embedding, int id, MemoryMatrix rows, int to) {
    StoredLinearTask with = borrow();
    try {
      with.lookUp(forms(1), embedding, id, rows, to);
    } finally {
      giveBack(with);
    }
  }

  /// Splits the outputs of all parts into tasks of about equal work.
  ///
  /// @param most weights in a task, about
  /// @param unit outputs of a task but the last are a multiple of it
  private void plan(int most, int unit) {
    long total = 0;
    for (Part part : parts) {
      total += (long) part.w().rows() * part.w().columns();
    }
    long share = Math.ceilDiv(total, (long) TASKS_PER_THREAD * threads.count());
    long perTask = Math.max(Math.min(most, share), total / MAX_TASKS + 1);
    tasks = 0;
    for (int p = 0; p < parts.length; p++) {
      WeightMatrix w = parts[p].w();
      int step = Math.clamp(perTask / w.columns() / unit * unit, unit, w.rows() + unit);
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
    StoredLinearTask with = borrow();
    try {
      with.run(now, parts[taskPart[number]], rows, taskFirst[number], taskEnd[number]);
    } finally {
      giveBack(with);
    }
  }

  private void runSequenceTask(int number) {
    StoredLinearTask with = borrow();
    int part = taskPart[number];
    try {
      with.sequence(now, parts[part], packed[part], rows, taskFirst[number], taskEnd[number]);
    } finally {
      giveBack(with);
    }
  }

  private StoredLinearTask borrow() {
    for (int i = 0; ; i = (i + 1) % kept.length()) { // no more threads than are kept
      StoredLinearTask task = kept.getAndSet(i, null);
      if (task != null) {
        return task;
      }
    }
  }

  private void giveBack(StoredLinearTask task) {
    for (int i = 0; ; i = (i + 1) % kept.length()) {
      if (kept.compareAndSet(i, null, task)) {
        return;
      }
    }
  }
}
