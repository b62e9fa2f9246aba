package io.xlstm4j.train.parallel;

import java.time.Duration;

/// How often ranks give a sign of life, and after how many missing ones somebody is taken for dead.
/// Counted in beats and not in seconds, so that a machine that slept as a whole wakes unharmed.
///
/// @param milliseconds between two signs
/// @param patience how many beats the ranks wait for one that lives but does not come
record Heartbeat(long milliseconds, long patience) {
  /// Missing signs after which a rank is taken for dead.
  static final int SILENT = 30;

  /// For good-byes.
  static final int SHORT = 5;

  /// A second; less if the timeout is under a minute, so that silence is noticed before lateness.
  static Heartbeat of(Duration timeout) {
    long milliseconds = Math.min(1_000, timeout.toMillis() / (2 * SILENT));
    return new Heartbeat(milliseconds, timeout.toMillis() / milliseconds);
  }

  /// Calls `beat` for as long as it says so, from a thread of its own.
  void start(String name, Beating beat) {
    DaemonThreads.start(
        name,
        () -> {
          boolean goesOn = true;
          while (goesOn) {
            DaemonThreads.sleep(milliseconds);
            goesOn = beat.beat();
          }
        });
  }

  /// One beat.
  interface Beating {
    /// @return whether there is to be another
    boolean beat();
  }
}
