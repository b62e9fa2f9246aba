package io.xlstm4j.kernels.memory;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/// The one bounded set of threads that kernels run on.
///
/// Work comes as numbered tasks that write to places of their own, so a result never depends on how
/// many threads there are or which of them runs what.
public final class KernelThreads {
  /// How often a waiting thread looks before it sleeps: long enough to bridge two kernels of a
  /// step.
  private static final int SPINS = 2_000;

  private final Thread[] threads; // without the caller, which works too
  private volatile boolean closed;

  /// The number of threads that take part.
  private volatile int active;

  /// The tasks of the call under way: how many in the upper half, which is next in the lower. One
  /// number, so that no thread ever takes a task of one call for that of another.
  private final AtomicLong tasks = new AtomicLong();

  private final AtomicInteger ended = new AtomicInteger();
  private volatile IntConsumer work = KernelThreads::nothing;
  private volatile @Nullable Throwable failure;

  /// @param count threads in all, the calling one included; at least 1
  public KernelThreads(int count) {
    if (count < 1) {
      throw new IllegalArgumentException("count (" + count + ") must be positive");
    }
    threads = new Thread[count - 1];
    active = threads.length;
    for (int i = 0; i < threads.length; i++) {
      int index = i;
      threads[i] = new Thread(() -> work(index), "xlstm-kernel-" + (i + 1));
      threads[i].setDaemon(true);
      threads[i].start();
    }
  }

  /// No threads but the calling one; may be called from several at once, and from within a task.
  public static KernelThreads singleThreaded() {
    return new KernelThreads(1);
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
    if (tasks <= 1 || active == 0) {
      for (int i = 0; i < tasks; i++) {
        task.accept(i);
      }
    } else {
      share(tasks, task);
    }
  }

  private synchronized void share(int tasks, IntConsumer task) {
    work = task;
    ended.set(0);
    this.tasks.set((long) tasks << Integer.SIZE);
    for (int i = 0; i < active; i++) {
      LockSupport.unpark(threads[i]);
    }
    help();
    while (ended.get() < tasks) {
      Thread.onSpinWait();
    }
    work = KernelThreads::nothing;
    if (failure != null) {
      rethrow();
    }
  }

  /// Leaves a processor to somebody else, or takes it back.
  public void spareOne(boolean spare) {
    active = Math.max(0, threads.length - (spare ? 1 : 0));
  }

  /// Ends the threads; tasks that run are finished first.
  public synchronized void close() {
    closed = true;
    for (Thread thread : threads) {
      LockSupport.unpark(thread);
    }
  }

  private void work(int index) {
    int spins = 0;
    while (!closed) {
      if (index < active && help()) {
        spins = 0;
      } else if (spins < SPINS) {
        spins++;
        Thread.onSpinWait();
      } else {
        LockSupport.park(this);
      }
    }
  }

  private static void nothing(int number) {}

  /// Does tasks until none is left.
  ///
  /// @return whether it did any
  private boolean help() {
    boolean any = false;
    while (true) {
      long now = tasks.get();
      int next = (int) now;
      if (next >= (int) (now >>> Integer.SIZE)) {
        return any;
      }
      if (tasks.compareAndSet(now, now + 1)) {
        any = true;
        one(next);
      }
    }
  }

  /// The call cannot return before this task has ended, so `work` is its own.
  private void one(int number) {
    try {
      work.accept(number);
    } catch (RuntimeException | Error e) {
      failure = e;
    } finally {
      ended.getAndIncrement();
    }
  }

  private void rethrow() {
    @Nullable Throwable thrown = failure;
    failure = null;
    if (thrown instanceof RuntimeException e) {
      throw e;
    }
    if (thrown instanceof Error e) {
      throw e;
    }
  }
}
