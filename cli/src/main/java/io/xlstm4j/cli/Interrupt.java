package io.xlstm4j.cli;

import java.io.PrintWriter;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Turns Ctrl-C and SIGTERM into a request to stop, answers at once, and ends the program at the
/// second one.
///
/// Before training has begun there is nothing to save, and the first ends the program. In a process
/// that another one of ours has started, only that one decides: a terminal sends Ctrl-C to both.
final class Interrupt implements AutoCloseable {
  private static final int SIGNALLED = 128;

  /// `timeout` and some shells send one signal twice.
  private static final long SAME_SIGNAL_NANOS = TimeUnit.MILLISECONDS.toNanos(250);

  /// Upper bound of the time to remove the folder of a run that has not begun.
  private static final long ENDING_MILLISECONDS = 700;

  private final PrintWriter err;
  private final boolean interactive;
  private final boolean ofLauncher;
  private final Signals signals;
  private @Nullable Runnable stop; // null while nothing has begun; guarded by this, as all below
  private Runnable kill = () -> {};
  private boolean requested;
  private long last;

  /// @param err gets the answer
  /// @param interactive whether it goes to a terminal, with a progress line on it
  /// @param ofLauncher whether another process of ours started this one
  Interrupt(PrintWriter err, boolean interactive, boolean ofLauncher) {
    this.err = err;
    this.interactive = interactive;
    this.ofLauncher = ofLauncher;
    this.signals = Signals.handle(this::handle);
  }

  /// Installs handlers: the first signal asks to stop, the second ends the program.
  ///
  /// @param onRequest called at the first signal
  /// @param onKill called before the program ends at the second; returns soon
  synchronized void begin(Runnable onRequest, Runnable onKill) {
    stop = onRequest;
    kill = onKill;
  }

  /// Returns whether a signal has come.
  synchronized boolean requested() {
    return requested;
  }

  /// Does not return if the program ends because of a signal before training began.
  void awaitEnd() {
    while (endsNow()) {
      sleep();
    }
  }

  private synchronized boolean endsNow() {
    return requested && stop == null;
  }

  private synchronized void handle(int signal) {
    if (ofLauncher) {
      if (signal == Signals.TERMINATE && !requested) {
        requested = true;
        request(signal);
      }
      return;
    }
    long now = System.nanoTime();
    if (!requested) {
      requested = true;
      last = now;
      if (stop == null) {
        request(signal);
        say("stopped before training began");
      } else {
        say("stopping after this step; again to stop now");
        request(signal);
      }
    } else if (now - last > SAME_SIGNAL_NANOS) {
      haltSoon(signal); // first of all: a terminal that is held does not take a line
      say("stopped; the last saved state stays");
      kill.run();
      Runtime.getRuntime().halt(SIGNALLED + signal);
    }
  }

  private void request(int signal) {
    if (stop != null) {
      stop.run();
      return;
    }
    haltSoon(signal);
    Thread.ofPlatform()
        .daemon()
        .start(() -> System.exit(SIGNALLED + signal)); // removes what was begun
  }

  private static void haltSoon(int signal) {
    Thread.ofPlatform()
        .daemon()
        .start(() -> {
          sleep();
          Runtime.getRuntime().halt(SIGNALLED + signal);
        });
  }

  private static void sleep() {
    try {
      Thread.sleep(ENDING_MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void say(String line) {
    err.println((interactive ? "\r\u001B[K" : "") + line);
    err.flush();
  }

  @Override
  public void close() {
    signals.close();
  }
}
