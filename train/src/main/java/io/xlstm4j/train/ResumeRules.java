package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.util.Set;

/// What may differ when a run goes on: how long and how it is watched, not what is trained on what.
final class ResumeRules {
  private static final Set<String> FREE =
      Set.of(
          "training.steps",
          "training.learning_rate",
          "training.final_learning_rate_fraction",
          "training.clip_norm",
          "training.validate_every",
          "training.validation_tokens",
          "training.save_every",
          "samples",
          "device",
          "backend");

  private ResumeRules() {}

  /// @throws InvalidInputException if a key that must stay has another value now
  static RunConfig apply(RunConfig before, ObjectNode changes) {
    RunConfig after = before.with(changes, "--resume");
    refuse("", before.toTree(), after.toTree());
    return after;
  }

  private static void refuse(String path, ObjectNode before, ObjectNode after) {
    for (var entry : before.properties()) {
      String key = path + entry.getKey();
      var now = after.get(entry.getKey());
      if (FREE.contains(key) || entry.getValue().equals(now)) {
        continue;
      }
      if (entry.getValue() instanceof ObjectNode b && now instanceof ObjectNode a) {
        refuse(key + ".", b, a);
      } else {
        throw new InvalidInputException(
            "--resume: %s was %s in this run, now it is %s; start a new run for that"
                .formatted(key, entry.getValue(), now));
      }
    }
  }

  /// @throws InvalidInputException if the corpus or the tokenizer is not what the run began with
  static void checkData(TrainingState state, RunData data) {
    if (!state.trainFingerprint().equals(data.train().fingerprint())
        || !state.validationFingerprint().equals(data.validation().fingerprint())) {
      throw new InvalidInputException(
          "--resume: corpus or tokenizer changed: the run began with %s, now there is %s"
              .formatted(
                  shortened(state.trainFingerprint()), shortened(data.train().fingerprint())));
    }
  }

  private static String shortened(String fingerprint) {
    return fingerprint.substring(0, Math.min(12, fingerprint.length()));
  }
}
