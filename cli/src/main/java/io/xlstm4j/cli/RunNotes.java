package io.xlstm4j.cli;

import io.xlstm4j.train.Run;
import io.xlstm4j.train.config.RunConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// Notes on settings of a run that are allowed but unusual.
final class RunNotes {
  private RunNotes() {}

  /// One line for each oddity.
  static List<String> of(Run run) {
    var notes = new ArrayList<String>();
    RunConfig config = run.config();
    int context = config.model().contextLength();
    long tokens = run.facts().trainTokens();
    if (config.series() == null && run.facts().vocabulary() > 1 && tokens < context) {
      notes.add(
          String.format(
              Locale.ROOT,
              "model.context_length (%,d) is longer than the data (%,d tokens); the rest of each row is padding",
              context,
              tokens));
    }
    int warmup = config.schedule().warmupSteps();
    if (warmup >= run.totalSteps() && warmup > 1) {
      notes.add(
          String.format(
              Locale.ROOT,
              "schedule.warmup_steps (%,d) takes all %,d steps; the learning rate never falls",
              warmup,
              run.totalSteps()));
    }
    return notes;
  }
}
