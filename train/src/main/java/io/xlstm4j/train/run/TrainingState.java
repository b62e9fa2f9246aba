package io.xlstm4j.train.run;

import io.xlstm4j.core.Check;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// The progress of a run, beside weights and moments: `training/state.json`.
///
/// The order of batches and all randomness follow from seed and step, so no generator is saved.
///
/// @param format of the files of a training state
/// @param step batches trained on, skipped ones too
/// @param updates number of updates of the weights
/// @param tokens tokens trained on
/// @param seconds that training took so far, in all its parts
/// @param skippedInRow steps just skipped, one after the other
/// @param bestLoss lowest validation loss so far; null before the first
/// @param bestStep the step it was reached at
/// @param validationLoss of this very step; null if it was not validated, or came to no finite
///   number
/// @param validationsWithoutGain validations since the best
/// @param processes that trained together when this was written
/// @param fingerprints of what must be the same when the run goes on
public record TrainingState(
    int format,
    int step,
    long updates,
    long tokens,
    double seconds,
    int skippedInRow,
    @Nullable Double bestLoss,
    int bestStep,
    @Nullable Double validationLoss,
    int validationsWithoutGain,
    int processes,
    SequencedMap<String, String> fingerprints) {
  /// The format of the files that this version writes, and the only one that it reads.
  public static final int FORMAT = 2;

  public TrainingState {
    Check.notNegative("step", step);
    Check.notNegative("updates", updates);
    Check.notNegative("tokens", tokens);
    Check.notNegative("seconds", seconds);
    Check.notNegative("skippedInRow", skippedInRow);
    Check.notNegative("bestStep", bestStep);
    Check.notNegative("validationsWithoutGain", validationsWithoutGain);
    Check.positive("processes", processes);
    fingerprints = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(fingerprints));
  }

  /// Before the first step.
  public static TrainingState initial(int processes, SequencedMap<String, String> fingerprints) {
    return new TrainingState(FORMAT, 0, 0, 0, 0, 0, null, 0, null, 0, processes, fingerprints);
  }

  /// @param updated whether the weights were updated; false for a skipped step
  public TrainingState afterStep(boolean updated, long newTokens, double newSeconds) {
    return new TrainingState(
        format,
        step + 1,
        updated ? updates + 1 : updates,
        tokens + newTokens,
        seconds + newSeconds,
        updated ? 0 : skippedInRow + 1,
        bestLoss,
        bestStep,
        null,
        validationsWithoutGain,
        processes,
        fingerprints);
  }

  public TrainingState afterValidation(double loss, double newSeconds) {
    boolean best = isBest(loss);
    return new TrainingState(
        format,
        step,
        updates,
        tokens,
        seconds + newSeconds,
        skippedInRow,
        best ? Double.valueOf(loss) : bestLoss,
        best ? step : bestStep,
        Double.isFinite(loss) ? Double.valueOf(loss) : null,
        best ? 0 : validationsWithoutGain + 1,
        processes,
        fingerprints);
  }

  /// The same, gone on with by another number of processes.
  public TrainingState withProcesses(int now) {
    return new TrainingState(
        format,
        step,
        updates,
        tokens,
        seconds,
        skippedInRow,
        bestLoss,
        bestStep,
        validationLoss,
        validationsWithoutGain,
        now,
        fingerprints);
  }

  /// Returns whether no finite loss was as low before.
  public boolean isBest(double loss) {
    return Double.isFinite(loss) && (bestLoss == null || loss < bestLoss);
  }
}
