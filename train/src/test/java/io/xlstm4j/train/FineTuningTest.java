package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.config.RunConfigFile;
import io.xlstm4j.train.config.StartingModel;
import io.xlstm4j.train.task.Validation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Runs that start with the weights of a model folder.
class FineTuningTest {
  private static final Callback SILENT = new Callback() {};

  /// Written by Hugging Face's library: 128 ids, no tokenizer.
  private static final Path HUGGING_FACE =
      Path.of("../torch/src/test/resources/golden/hf_xlstm_tiny");

  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path corpus;
  private static Path base; // blocks and width are not those of a run's defaults
  private static double baseLoss;

  @BeforeAll
  static void train_a_model_to_start_from() throws IOException {
    corpus = TinyRun.corpus(shared);
    base = shared.resolve("base");
    String[] keys = {"data.tokenizer=bpe", "data.vocab_size=280", "optimizer.learning_rate=0.01"};
    try (var trainer = Trainer.start(TinyRun.config(corpus, keys), base, SILENT)) {
      baseLoss = trainer.run(() -> false).end().validation().loss();
    }
  }

  private static RunConfig config(Path from, String... more) {
    ObjectNode keys = RunConfigFile.parse("", "test");
    RunConfigFile.override(
        keys,
        List.of(
            "from=" + from,
            "data.corpus=" + corpus,
            "training.steps=4",
            "training.batch_size=4",
            "validation.every=2",
            "validation.tokens=0",
            "checkpoints.every=2",
            "samples.prompts=[the cat]",
            "samples.max_tokens=4"));
    RunConfigFile.override(keys, List.of(more));
    TinyRun.withoutTextKeys(keys);
    StartingModel.complete(keys, "test");
    return RunConfig.DEFAULT.with(keys, "test");
  }

  private List<Double> validations(RunConfig config, String out) {
    var losses = new ArrayList<Double>();
    var listener =
        new Callback() {
          @Override
          public void onValidation(Run run, Validation validation, boolean best) {
            losses.add(validation.loss());
          }
        };
    try (var trainer = Trainer.start(config, folder.resolve(out), listener)) {
      trainer.run(() -> false);
    }
    return losses;
  }

  @Test
  void begins_where_the_model_is_with_its_tokenizer_and_architecture_and_no_moments()
      throws IOException {
    RunConfig config = config(base, "checkpoints.keep_every=4");
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      assertThat(trainer.view().config().model().numBlocks()).isEqualTo(2);
      assertThat(trainer.view().state().updates()).isZero();
      trainer.run(() -> true); // one step
    }
    Path first = folder.resolve("run/checkpoints/step-0000000");
    assertThat(first.resolve("model.safetensors"))
        .hasSameBinaryContentAs(base.resolve("model.safetensors"));
    assertThat(folder.resolve("run/tokenizer.json"))
        .hasSameBinaryContentAs(base.resolve("tokenizer.json"));
    try (var moments = SafetensorsFile.open(first.resolve("optimizer.safetensors"))) {
      for (String name : moments.tensors().keySet()) {
        assertThat(moments.floats(name)).containsOnly(0);
      }
    }
    assertThat(folder.resolve("run/run.yaml")).content().contains("from: " + base);
  }

  @Test
  void the_first_validation_is_that_of_the_model_and_training_lowers_it() {
    List<Double> losses = validations(config(base, "training.steps=20"), "run");
    assertThat(losses.getFirst()).isCloseTo(baseLoss, within(1e-6));
    assertThat(losses.getLast()).isLessThan(baseLoss);
  }

  @Test
  void goes_on_bit_for_bit_even_when_the_first_model_is_gone() throws IOException {
    Path own = folder.resolve("own");
    Files.createDirectory(own);
    for (String name : List.of("config.json", "model.safetensors", "tokenizer.json")) {
      Files.copy(base.resolve(name), own.resolve(name));
    }
    RunConfig config = config(own);
    try (var trainer = Trainer.start(config, folder.resolve("whole"), SILENT)) {
      trainer.run(() -> false);
    }
    Path cut = folder.resolve("cut");
    try (var trainer = Trainer.start(config, cut, SILENT)) {
      var asked = new AtomicInteger();
      trainer.run(() -> asked.incrementAndGet() == 3);
    }
    for (String name : List.of("config.json", "model.safetensors", "tokenizer.json")) {
      Files.delete(own.resolve(name));
    }
    ObjectNode same = RunConfigFile.parse("from: " + own, "test");
    try (var trainer = Trainer.resume(cut, same, SILENT)) {
      assertThat(trainer.run(() -> false).steps()).isEqualTo(4);
    }
    assertThat(cut.resolve("training/model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("whole/training/model.safetensors"));
  }

  @Test
  void resuming_with_another_model_to_start_from_is_refused() throws IOException {
    Path run = folder.resolve("run");
    try (var trainer = Trainer.start(config(base), run, SILENT)) {
      trainer.run(() -> true);
    }
    assertThatThrownBy(
            () -> Trainer.resume(run, RunConfigFile.parse("from: elsewhere", "test"), SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "--resume: from was \"%s\" in this run, now it is \"elsewhere\"; start a new run for that"
                .formatted(base));
    Path fresh = folder.resolve("fresh");
    try (var trainer = Trainer.start(TinyRun.config(corpus), fresh, SILENT)) {
      trainer.run(() -> true);
    }
    assertThatThrownBy(
            () -> Trainer.resume(fresh, RunConfigFile.parse("from: " + base, "test"), SILENT))
        .hasMessageContaining("from was not set in this run, now it is \"" + base);
  }

  @Test
  void a_model_that_hugging_face_wrote_is_trained_further_and_keeps_its_spare_ids()
      throws IOException {
    Path hub = Files.createDirectory(folder.resolve("hub"));
    for (String name : List.of("config.json", "model.safetensors")) {
      Files.copy(HUGGING_FACE.resolve(name), hub.resolve(name));
    }
    Files.writeString(hub.resolve("tokenizer.json"), letters());
    RunConfig config = config(hub, "model.context_length=24", "optimizer.learning_rate=0.003");
    List<Double> losses = validations(config, "run");
    assertThat(losses.getLast()).isLessThan(losses.getFirst());
    var written = (LargeModelConfig) CheckpointConfig.read(folder.resolve("run")).model();
    var before = (LargeModelConfig) CheckpointConfig.read(hub).model();
    assertThat(written.vocabSize()).isEqualTo(128); // the tokenizer has 29
    assertThat(written.eosTokenIds()).isEqualTo(before.eosTokenIds());
    assertThat(written.contextLength()).isEqualTo(24);
  }

  /// A `tokenizer.json` of 29 ids: the letters, the space and the end of a line.
  private static String letters() {
    String vocabulary =
        IntStream.range(0, 26)
            .mapToObj(i -> "\"%c\": %d".formatted('a' + i, i + 1))
            .collect(Collectors.joining(", "));
    return """
    {"version": "1.0", "added_tokens": [{"id": 0, "content": "<|endoftext|>", "special": true,
     "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
     "normalizer": null, "post_processor": null, "truncation": null, "padding": null,
     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
     "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
     "model": {"type": "BPE", "vocab": {"<|endoftext|>": 0, %s, "\u0120": 27, "\u010a": 28}, "merges": []}}
    """
        .formatted(vocabulary);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "model.num_blocks=3 | model.num_blocks is 3, but 2 in the model of from (",
        "model.slstm_at=[] | model.slstm_at is [], but [1] in the model of from (",
        "model.mlstm_block={mlstm: {num_heads: 2}} | model.mlstm_block.mlstm.num_heads is 2, but 4",
        "model.model_type=xlstm | model.model_type is xlstm, but xlstm_paper in the model of from",
        "model.model_type=xlstm_sequence | model.model_type is xlstm_sequence, but xlstm_paper",
        "model.vocab_size=280 | model.vocab_size follows from the tokenizer; leave it out",
        "model.num_block=2 | unknown key model.num_block; did you mean model.num_blocks?",
        "data.tokenizer=bytes | data.tokenizer is bytes, but ",
        "data.tokenizer=bpe | data.tokenizer is bpe, but ",
        "data.vocab_size=300 | data.vocab_size is 300, but the tokenizer in the model of from (",
        "from=nowhere | nowhere: no config.json here; not a checkpoint",
        "from=[1] | from must be the path of a model folder, but is [1]",
      })
  void what_disagrees_with_the_model_is_refused_in_one_line(String key, String message) {
    assertThatThrownBy(() -> config(base, key))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void what_agrees_with_the_model_may_be_said_and_so_may_context_and_dropout() throws IOException {
    RunConfig config =
        config(
            base,
            "model.num_blocks=2",
            "model.context_length=48",
            "model.dropout=0.3",
            "data.vocab_size=280",
            "data.tokenizer=" + base.resolve("tokenizer.json"));
    assertThat(config.model().contextLength()).isEqualTo(48);
    try (var trainer = Trainer.start(config, folder.resolve("run"), SILENT)) {
      trainer.run(() -> true);
    }
    assertThat(folder.resolve("run/config.json")).content().contains("\"dropout\" : 0.3", ": 48");
  }

  @Test
  void data_that_brings_another_tokenizer_is_refused_and_nothing_is_left() {
    RunConfig config = config(base, "data.corpus=parity:3-9");
    assertThatThrownBy(() -> Trainer.start(config, folder.resolve("run"), SILENT))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("comes with the tokenizer parity")
        .hasMessageContaining("but the model of from (" + base + ") has tokenizer.json (280 ids)");
    assertThat(folder.resolve("run")).doesNotExist();
  }

  @Test
  void a_model_of_series_is_refused() throws IOException {
    Path series = Files.createDirectory(folder.resolve("series"));
    Files.writeString(series.resolve("config.json"), "{\"model_type\": \"xlstm_sequence\"}");
    assertThatThrownBy(() -> config(series))
        .hasMessageContaining("is a model of series; only language models can be started from");
  }

  @Test
  void a_written_configuration_is_read_without_the_folder() {
    RunConfig config = config(base);
    String yaml = RunConfigFile.toYaml(config).replace(base.toString(), "gone");
    assertThat(RunConfig.DEFAULT.with(RunConfigFile.parse(yaml, "x"), "x").from())
        .isEqualTo("gone");
  }
}
