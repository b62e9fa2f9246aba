package io.xlstm4j.train;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.text.FormalLanguage;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/// A corpus and a configuration small enough to train in a test.
final class TinyRun {
  private TinyRun() {}

  /// A text of many short documents that a small model can learn.
  static Path corpus(Path folder) throws IOException {
    var random = new Random(1);
    String[] nouns = {"cat", "dog", "bird", "fish"};
    String[] verbs = {"sees", "likes", "meets"};
    var text = new StringBuilder();
    for (int i = 0; i < 400; i++) {
      text.append("the ").append(nouns[random.nextInt(4)]).append(' ');
      text.append(verbs[random.nextInt(3)]).append(" the ").append(nouns[random.nextInt(4)]);
      text.append("\n<|endoftext|>\n");
    }
    return Files.writeString(folder.resolve("tiny.txt"), text);
  }

  static RunConfig config(Path corpus, String... more) {
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "data.corpus=" + corpus,
            "data.tokenizer=bytes",
            "model.num_blocks=2",
            "model.embedding_dim=32",
            "model.context_length=24",
            "model.slstm_at=[1]",
            "model.dropout=0.1",
            "training.steps=6",
            "training.batch_size=4",
            "schedule.warmup_steps=2",
            "validation.every=3",
            "validation.tokens=200",
            "checkpoints.every=2",
            "samples.prompts=[the cat]",
            "samples.max_tokens=8"));
    RunConfigFile.override(keys, List.of(more));
    withoutTextKeys(keys);
    return RunConfig.DEFAULT.with(keys, "test");
  }

  /// A formal language has a tokenizer of its own and writes no samples.
  static void withoutTextKeys(ObjectNode keys) {
    if (FormalLanguage.names(keys.at("/data/corpus").asText())) {
      ((ObjectNode) keys.get("data")).remove("tokenizer");
      if (keys.get("model") instanceof ObjectNode model) {
        model.remove("context_length");
      }
      keys.remove("samples");
    }
  }
}
