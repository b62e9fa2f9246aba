package io.xlstm4j.train;

import io.xlstm4j.train.config.LoggingConfig;
import io.xlstm4j.train.run.RunFolder;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;

/// All callbacks of a run, each behind an [Observer].
final class Observers implements AutoCloseable {
  private final Warnings warnings = new Warnings(this::broadcastWarning);
  private final List<Observer> all = new CopyOnWriteArrayList<>();
  private final List<Observer> followers = new CopyOnWriteArrayList<>();

  /// @param callbacks of the caller
  Observers(List<Callback> callbacks) {
    callbacks.forEach(callback -> add(callback, "callback " + nameOf(callback)));
  }

  private static String nameOf(Callback callback) {
    return callback.getClass().getName().replaceAll("^.*\\.", "");
  }

  /// Adds a callback.
  ///
  /// @param name for warnings
  Observer add(Callback callback, String name) {
    var observer = new Observer(callback, name, warnings);
    all.add(observer);
    return observer;
  }

  /// Adds a callback that gets events from another one alone, and ends after it.
  Observer addFollower(Callback callback, String name) {
    var observer = new Observer(callback, name, warnings);
    followers.add(observer);
    return observer;
  }

  /// Adds what writes the files of a run, and draws from them.
  ///
  /// @param about the model and how samples are drawn
  /// @param lastStep the step that the run is resumed from; -1 for a new one
  Observer addMetrics(RunFolder folder, LoggingConfig config, String about, int lastStep) {
    var pictures = new PictureCallback(folder, warnings);
    Observer drawing = addFollower(pictures, "drawing");
    return add(
        new MetricsCallback(
            config,
            MetricsCallback.files(folder, config, about, lastStep),
            warnings,
            last -> drawing.submit(_ -> pictures.draw(last))),
        "writing of metrics");
  }

  /// Makes the hook that counts weights and gradients for what [#addMetrics] gave.
  HistogramCallback histograms(Observer metrics, int every) {
    return new HistogramCallback(
        every,
        warnings,
        (step, byName) ->
            metrics.submit(callback -> {
              if (callback instanceof MetricsCallback files) {
                files.histograms(step, byName);
              }
            }));
  }

  Warnings warnings() {
    return warnings;
  }

  private void broadcastWarning(String line) {
    for (Observer observer : all) {
      observer.submit(callback -> callback.onWarning(line));
    }
  }

  /// Gives an event to all callbacks; does not wait.
  void submit(Consumer<Callback> event) {
    for (Observer observer : all) {
      observer.submit(event);
    }
  }

  /// Waits until all events so far were delivered; for each callback at most its time limit.
  void await() {
    for (Observer observer : all) {
      observer.await();
    }
    for (Observer follower : followers) {
      follower.await();
    }
  }

  /// Closes all callbacks; waits for each at most its time limit.
  @Override
  public void close() {
    for (Observer observer : all) {
      observer.close();
    }
    for (Observer follower : followers) {
      follower.close();
    }
  }
}
