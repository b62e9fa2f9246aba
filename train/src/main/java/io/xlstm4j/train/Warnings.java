package io.xlstm4j.train;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.System.Logger.Level;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/// Faults that do not end a run, each reported once: to the callbacks and to the log.
final class Warnings {
  private static final System.Logger LOG = System.getLogger(Trainer.class.getName());

  private final Set<String> reported = ConcurrentHashMap.newKeySet();
  private final Consumer<String> receiver;

  /// @param receiver gets each line; called from any thread
  Warnings(Consumer<String> receiver) {
    this.receiver = receiver;
  }

  /// Reports a line, unless one of the same cause was reported before.
  void once(String cause, String line) {
    if (reported.add(cause)) {
      LOG.log(Level.WARNING, line);
      receiver.accept(line);
    }
  }

  /// Reports that `what` failed.
  void failed(String what, Throwable e) {
    once(
        what + " failed", "%s failed: %s; training goes on".formatted(what, OneLine.of(reason(e))));
  }

  private static String reason(Throwable e) {
    String message = e.getMessage();
    return e instanceof InvalidInputException && message != null
        ? message
        : e.getClass().getSimpleName() + (message == null ? "" : ": " + message);
  }

  /// Returns a duration in words.
  static String seconds(long nanos) {
    double seconds = (double) nanos / TimeUnit.SECONDS.toNanos(1);
    return seconds == Math.rint(seconds)
        ? String.format(Locale.ROOT, "%d seconds", (long) seconds)
        : String.format(Locale.ROOT, "%.1f seconds", seconds);
  }
}
