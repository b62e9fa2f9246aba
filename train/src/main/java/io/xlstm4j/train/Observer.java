package io.xlstm4j.train;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/// Delivers events to one callback on a daemon thread of its own, through a bounded queue.
///
/// Submitting never waits. While the callback takes longer than its time limit for one event, and
/// while the queue is full, events are not delivered; each of both is one warning. After that the
/// callback receives events again.
final class Observer {
  /// Upper bound of waiting events; at one event per step some seconds of the smallest models.
  static final int CAPACITY = 1024;

  private final Callback callback;
  private final String name;
  private final long limit;
  private final Warnings warnings;
  private final Deque<Consumer<Callback>> events = new ArrayDeque<>(); // guarded by this, as all
  private long submitted;
  private long done;
  private boolean busy;
  private long busySince;
  private boolean behind; // an await ended too early
  private boolean closed;
  private @Nullable Thread thread; // from the first event on

  /// @param name of the callback, for warnings
  Observer(Callback callback, String name, Warnings warnings) {
    this.callback = callback;
    this.name = name;
    this.limit = Math.max(1, callback.timeLimit().toNanos());
    this.warnings = warnings;
  }

  /// Gives an event to the callback, later; drops it if the callback does not answer.
  void submit(Consumer<Callback> event) {
    boolean unresponsive;
    boolean full;
    synchronized (this) {
      if (closed) {
        return;
      }
      unresponsive = isUnresponsive();
      full = events.size() >= CAPACITY;
      if (!unresponsive && !full) {
        events.add(event);
        submitted++;
        start();
        notifyAll();
      }
    }
    if (unresponsive) {
      warnUnresponsive();
    } else if (full) {
      warnings.once(
          name + " is slow", name + " is too slow and misses events; training does not wait");
    }
  }

  private void start() {
    if (thread == null) {
      thread = Thread.ofPlatform().daemon().name("xlstm-observer-" + name).start(this::deliver);
    }
  }

  private void deliver() {
    for (var event = next(); event != null; event = next()) {
      try {
        event.accept(callback);
      } catch (Throwable e) { // drawing throws errors of linkage, of memory and of the machine
        warnings.failed(name, e);
      }
      synchronized (this) {
        busy = false;
        done++;
        behind &= !events.isEmpty();
        notifyAll();
      }
    }
  }

  private synchronized @Nullable Consumer<Callback> next() {
    boolean interrupted = false;
    while (events.isEmpty() && !closed) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true; // by the callback itself; the thread is ours
      }
    }
    if (interrupted) {
      Thread.interrupted();
    }
    @Nullable Consumer<Callback> event = events.poll();
    if (event != null) {
      busy = true;
      busySince = System.nanoTime();
    }
    return event;
  }

  private synchronized boolean isUnresponsive() {
    return busy && System.nanoTime() - busySince > limit;
  }

  private void warnUnresponsive() {
    warnings.once(
        name + " does not answer",
        "%s has not returned for %s; training goes on without it"
            .formatted(name, Warnings.seconds(limit)));
  }

  /// Waits until all events submitted so far were delivered, at most for the time limit. Does not
  /// wait for a callback that let an earlier call wait in vain, until it has caught up.
  ///
  /// @return whether all were delivered
  boolean await() {
    boolean delivered;
    boolean unresponsive;
    synchronized (this) {
      long deadline = System.nanoTime() + limit;
      long target = submitted;
      while (done < target && !behind && !isUnresponsive()) {
        long now = System.nanoTime();
        if (now - deadline >= 0) {
          behind = true;
          break;
        }
        long left = Math.min(deadline - now, busy ? busySince + limit - now : limit);
        try {
          wait(Math.max(1, TimeUnit.NANOSECONDS.toMillis(left)));
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          break;
        }
      }
      delivered = done >= target;
      unresponsive = isUnresponsive();
    }
    if (unresponsive) {
      warnUnresponsive();
    }
    return delivered;
  }

  /// Delivers what waits, closes the callback and ends the thread; waits for it at most for the
  /// time limit.
  void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      events.add(Callback::close); // beyond the capacity if need be: the last event
      submitted++;
      start();
      closed = true;
      notifyAll();
    }
    await();
  }
}
