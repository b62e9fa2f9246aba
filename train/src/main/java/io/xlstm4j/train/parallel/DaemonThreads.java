package io.xlstm4j.train.parallel;

/// DaemonThreads in the background, which never keep a process alive.
final class DaemonThreads {
  private DaemonThreads() {}

  static Thread start(String name, Runnable body) {
    return Thread.ofPlatform().daemon().name(name).start(body);
  }

  /// @throws IllegalStateException if this thread is interrupted, which nobody of ours does
  static void sleep(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while waiting for other ranks", e);
    }
  }
}
