package io.xlstm4j.kernels;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// The one bounded set of threads that kernels run on.
///
/// Work comes as numbered tasks that write to places of their own, so a result never depends on how
/// many threads there are or which of them runs what.
public final class Workers {
  /// How often a waiting thread looks before it sleeps: long enough to bridge two kernels of a
  /// step.
  private static final int SPINS = 2_000;

  private final Thread[] threads; // without the caller, which works too
  private volatile @Nullable Job job;
  private volatile boolean closed;

  /// @param count threads in all, the calling one included; at least 1
  public Workers(int count) {
    if (count < 1) {
      throw new IllegalArgumentException("count (" + count + ") must be positive");
    }
    threads = new Thread[count - 1];
    for (int i = 0; i < threads.length; i++) {
      threads[i] = new Thread(this::work, "xlstm-kernel-" + (i + 1));
      threads[i].setDaemon(true);
      threads[i].start();
    }
  }

  /// No threads but the calling one; may be called from several at once, and from within a task.
  static Workers alone() {
    return new Workers(1);
  }

  /// Threads in all, the calling one included.
  public int count() {
    return threads.length + 1;
  }

  /// Runs `task` once for each number in `[0, tasks)` and returns when all have ended. Calls from
  /// several threads wait for each other; a task must not call back.
  ///
  /// @throws RuntimeException or Error the first that a task threw; the other tasks have ended too
  public void run(int tasks, IntConsumer task) {
    if (tasks <= 1 || threads.length == 0) {
      for (int i = 0; i < tasks; i++) {
        task.accept(i);
      }
    } else {
      share(tasks, task);
    }
  }

  private synchronized void share(int tasks, IntConsumer task) {
    var next = new Job(tasks, task);
    job = next;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
    next.help();
    next.await();
    job = null;
    next.rethrow();
  }

  /// Ends the threads; tasks that run are finished first.
  public synchronized void close() {
    closed = true;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
  }

  private void work() {
    @Nullable Job done = null;
    int spins = 0;
    while (!closed) {
      @Nullable Job current = job;
      if (current != null && current != done) {
        current.help();
        done = current;
        spins = 0;
      } else if (spins < SPINS) {
        spins++;
        Thread.onSpinWait();
      } else {
        LockSupport.park(this);
      }
    }
  }

  /// Numbered tasks that threads take one by one.
  private static final class Job {
    private final int tasks;
    private final IntConsumer task;
    private final AtomicInteger taken = new AtomicInteger();
    private final AtomicInteger ended = new AtomicInteger();
    private volatile @Nullable Throwable failure;

    Job(int tasks, IntConsumer task) {
      this.tasks = tasks;
      this.task = task;
    }

    void help() {
      for (int i = taken.getAndIncrement(); i < tasks; i = taken.getAndIncrement()) {
        try {
          task.accept(i);
        } catch (RuntimeException | Error e) {
          failure = e;
        } finally {
          ended.getAndIncrement();
        }
      }
    }

    void await() {
      while (ended.get() < tasks) {
        Thread.onSpinWait();
      }
    }

    void rethrow() {
      @Nullable Throwable thrown = failure;
      if (thrown instanceof RuntimeException e) {
        throw e;
      }
      if (thrown instanceof Error e) {
        throw e;
      }
    }
  }
}
