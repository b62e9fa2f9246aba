package io.xlstm4j.train;

import io.xlstm4j.train.config.CheckpointsConfig;
import io.xlstm4j.train.run.StateWriter;
import io.xlstm4j.train.task.Validation;
import org.bytedeco.javacpp.PointerScope;

/// Writes the best model after a validation, and the state of the run every so many steps and at
/// its end, in the background. A state that cannot be written ends the run.
final class CheckpointCallback implements SynchronousCallback {
  private final StateWriter writer;
  private final Runnable beforeState;

  /// @param beforeState waits for the metrics of the steps before a state, so that a run that is
  ///   resumed from it has them all
  CheckpointCallback(StateWriter writer, Runnable beforeState) {
    this.writer = writer;
    this.beforeState = beforeState;
  }

  @Override
  public void onValidation(LiveRun run, Validation validation, boolean best) {
    if (best) {
      try (var _ = new PointerScope()) {
        writer.saveBest(run.model());
      }
    }
  }

  @Override
  public void onBoundary(LiveRun run) {
    CheckpointsConfig config = run.config().checkpoints();
    int step = run.state().step();
    if (run.state().skippedInRow() > 0 && !run.ending()) {
      return; // the state before may be better than this one
    }
    // the first state too, so that a run can be resumed however early it dies; and those of
    // validated steps, if the best of them are to be kept
    if (run.ending()
        || step % config.every() == 0
        || (config.keepEvery() > 0 && step % config.keepEvery() == 0)
        || (config.keepBest() > 0 && run.state().validationLoss() != null)) {
      beforeState.run();
      try (var _ = new PointerScope()) {
        writer.saveState(run.full());
      }
    }
  }

  /// Waits until all is on the disk.
  void await() {
    writer.await();
  }

  @Override
  public void close() {
    writer.close();
  }
}
