package io.xlstm4j.train.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.text.FormalLanguage;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Refuses keys that would mean nothing beside the others: whoever gives one expects it to count.
final class IgnoredKeys {
  private final RunConfig run;
  private final ObjectNode said;
  private final ObjectNode before;
  private final String prefix;

  private IgnoredKeys(RunConfig run, ObjectNode said, ObjectNode before, String prefix) {
    this.run = run;
    this.said = said;
    this.before = before;
    this.prefix = prefix;
  }

  /// @param run what the keys have become
  /// @param said the keys that somebody wrote
  /// @param before the values without them; a key that repeats its value is let pass
  /// @param prefix what the message begins with
  /// @throws InvalidInputException if one of the keys is ignored
  static void refuse(RunConfig run, ObjectNode said, ObjectNode before, String prefix) {
    var keys = new IgnoredKeys(run, said, before, prefix);
    keys.schedule();
    if (run.from() == null) { // else the keys are those of a folder
      keys.model();
    }
    if (run.series() == null) {
      keys.data();
      keys.samples();
    }
  }

  private void data() {
    DataConfig data = run.data();
    boolean formal = FormalLanguage.names(data.corpus());
    if (formal) {
      String why = "data.corpus is the formal language " + data.corpus();
      if (run.from() == null) { // else the tokenizer is that of the model, which is compared later
        refuse("data.tokenizer", why);
      }
      for (String key : List.of("vocab_size", "reset_at_documents", "packing")) {
        refuse("data." + key, why);
      }
      if (run.from() == null) {
        length(data);
      }
      refuse("samples", why + ", of which no samples are written");
    } else {
      String why = "data.corpus is no formal language, but " + data.corpus();
      refuse("data.num_examples", why);
      refuse("data.num_validation_examples", why);
    }
    if (!data.tokenizer().equals(DataConfig.TRAINED)) {
      refuse("data.vocab_size", "data.tokenizer is " + data.tokenizer() + " and not bpe");
    }
    if (data.mix().isEmpty()) {
      refuse("data.corpus_weight", "data.mix is empty");
    }
  }

  /// The length of the sequences of a formal language follows from the language.
  private void length(DataConfig data) {
    String key = "model.context_length";
    int given = run.model().contextLength();
    int most = FormalLanguage.parse(data.corpus()).maxLength();
    String other = data.validation();
    int longer =
        other == null || !FormalLanguage.names(other)
            ? most
            : FormalLanguage.parse(other).maxLength();
    if (differing(key, RunKeys.at(said, key), RunKeys.at(before, key)) != null
        && !List.of(most, most - 1, longer, longer - 1).contains(given)) {
      throw new InvalidInputException(
          "%s%s is %d, but the sequences of data.corpus (%s) have at most %d tokens; leave it out"
              .formatted(prefix, key, given, data.corpus(), most - 1));
    }
  }

  private void samples() {
    List<String> prompts = run.samples().prompts();
    if (prompts != null && prompts.isEmpty()) {
      for (String key : List.of("max_tokens", "temperature", "top_p")) {
        refuse("samples." + key, "samples.prompts is empty");
      }
    }
    if (run.samples().temperature() == 0) {
      refuse("samples.top_p", "samples.temperature is 0, which takes the likeliest token");
    }
  }

  private void schedule() {
    ScheduleConfig schedule = run.schedule();
    if (schedule.kind() == ScheduleConfig.Kind.CONSTANT
        || schedule.kind() == ScheduleConfig.Kind.WSD) {
      refuse("schedule.min_lr_ratio", "schedule.kind is " + schedule.kind());
    }
    if (schedule.cooldownSteps() == 0) {
      refuse("schedule.cooldown_fraction", "schedule.cooldown_steps is 0");
    }
  }

  private void model() {
    if (!(run.model() instanceof PaperModelConfig paper)) {
      return;
    }
    // Keys of a kind of block that no block has are allowed: a file keeps both kinds while
    // model.slstm_at is tried out.
    if (paper.blockStack().dropout() == 0) {
      refuse("model.add_embedding_dropout", "model.dropout is 0");
    }
    if (run.optimizer().weightDecay() == 0) {
      refuse("model.weight_decay_on_embedding", "optimizer.weight_decay is 0");
    }
  }

  private void refuse(String key, String why) {
    String given = differing(key, RunKeys.at(said, key), RunKeys.at(before, key));
    if (given != null) {
      throw new InvalidInputException(
          "%s%s (%s) means nothing here, because %s; leave it out"
              .formatted(prefix, given, RunKeys.shown(RunKeys.at(said, given)), why));
    }
  }

  /// The first key at or below `key` that was given another value than it had; else null.
  private static @Nullable String differing(String key, JsonNode given, JsonNode had) {
    if (given.isMissingNode() || given.isNull() || given.equals(had)) {
      return null;
    }
    if (given.isNumber() && had.isNumber() && given.asDouble() == had.asDouble()) {
      return null; // 1 and 1.0
    }
    if (!(given instanceof ObjectNode section)) {
      return key;
    }
    for (var entry : section.properties()) {
      String found =
          differing(key + "." + entry.getKey(), entry.getValue(), had.path(entry.getKey()));
      if (found != null) {
        return found;
      }
    }
    return null;
  }
}
