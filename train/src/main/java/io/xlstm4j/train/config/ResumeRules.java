package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The keys that may differ on `--resume`: length and logging of a run, not its model or data.
public final class ResumeRules {
  private static final Set<String> FREE =
      Set.of(
          "training.steps",
          "training.tokens",
          "training.epochs",
          "training.minutes",
          "training.max_nonfinite_steps",
          "optimizer.learning_rate",
          "optimizer.clip_norm",
          "optimizer.clip_value",
          "schedule",
          "validation",
          "checkpoints",
          "logging",
          "samples",
          "device",
          "backend");

  private ResumeRules() {}

  /// @throws InvalidInputException if a key that must stay has another value now
  public static RunConfig apply(RunConfig before, ObjectNode changes) {
    RunConfig after = before.changed(changes, "--resume");
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
                .formatted(key, shown(entry.getValue()), shown(now)));
      }
    }
  }

  private static String shown(@Nullable JsonNode value) {
    return value == null || value.isNull() ? "not set" : value.toString();
  }

  /// @throws InvalidInputException if what the run goes on with is not what it began with
  public static void sameFingerprints(Map<String, String> before, Map<String, String> now) {
    for (Map.Entry<String, String> entry : before.entrySet()) {
      String there = now.getOrDefault(entry.getKey(), "nothing");
      if (!there.equals(entry.getValue())) {
        throw new InvalidInputException(
            "--resume: %s changed: the run began with %s, now there is %s; put the old one back, or start a new run"
                .formatted(entry.getKey(), shortened(entry.getValue()), shortened(there)));
      }
    }
  }

  private static String shortened(String fingerprint) {
    return fingerprint.substring(0, Math.min(12, fingerprint.length()));
  }
}
