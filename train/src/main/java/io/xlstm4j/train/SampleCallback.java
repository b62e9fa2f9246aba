package io.xlstm4j.train;

import io.xlstm4j.train.task.Task;
import io.xlstm4j.train.task.Validation;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;

/// Lets the model write after each validation, on the thread that trains, since it needs the
/// weights. A failure is one warning, and so is a model that takes too long.
final class SampleCallback implements SynchronousCallback {
  /// After this the texts end where they are.
  static final Duration LIMIT = Duration.ofMinutes(10);

  private final Warnings warnings;
  private final Consumer<List<Task.Sample>> receiver;
  private final long limit;

  /// @param limit of the time of all samples of a validation
  SampleCallback(Duration limit, Warnings warnings, Consumer<List<Task.Sample>> receiver) {
    this.limit = limit.toNanos();
    this.warnings = warnings;
    this.receiver = receiver;
  }

  @Override
  public void onValidation(LiveRun run, Validation validation, boolean best) {
    if (!Double.isFinite(validation.loss())) {
      return; // such a model writes nothing
    }
    long began = System.nanoTime();
    try {
      List<Task.Sample> samples =
          run.task()
              .samples(() -> {
                boolean over = System.nanoTime() - began > limit;
                if (over) {
                  warnings.once(
                      "samples take long",
                      "samples take longer than %s and are cut; lower samples.max_tokens"
                          .formatted(Warnings.seconds(limit)));
                }
                return over;
              });
      if (!samples.isEmpty()) {
        receiver.accept(samples);
      }
    } catch (RuntimeException | OutOfMemoryError e) {
      warnings.failed("samples", e);
    }
  }
}
