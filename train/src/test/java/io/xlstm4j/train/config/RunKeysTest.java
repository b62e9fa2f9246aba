package io.xlstm4j.train.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Every key of a run: what is said of a wrong one names a right one.
class RunKeysTest {
  private static final List<String> FAMILIES = List.of("xlstm_paper", "xlstm", "xlstm_sequence");

  private static ObjectNode said(String family) {
    var said = JsonNodeFactory.instance.objectNode();
    said.putObject("model").put("model_type", family);
    if (family.equals("xlstm_sequence")) {
      said.putObject("series").put("file", "a.csv").putArray("target_columns").add("y");
    }
    return said;
  }

  private static ObjectNode tree(String family) {
    return RunConfig.DEFAULT.treeFor(said(family));
  }

  private static Stream<String> families() {
    return FAMILIES.stream();
  }

  @ParameterizedTest
  @MethodSource("families")
  void a_wrong_value_of_any_key_is_refused_by_the_name_of_the_key(String family) {
    int refused = 0;
    for (String key : RunKeys.keys(tree(family))) {
      for (JsonNode wrong :
          List.of(
              JsonNodeFactory.instance.objectNode().put("nonsense", 1),
              JsonNodeFactory.instance.booleanNode(true),
              IntNode.valueOf(-7))) {
        ObjectNode said = said(family);
        RunKeys.put(said, key, wrong);
        Throwable error = catchThrowable(() -> RunConfig.DEFAULT.with(said, "run.yaml"));
        if (error == null) {
          continue; // a switch, a seed, anything goes
        }
        refused++;
        assertThat(error).as(key + ": " + wrong).isInstanceOf(InvalidInputException.class);
        assertThat(error.getMessage())
            .as(key + ": " + wrong)
            .startsWith("run.yaml: ")
            .hasLineCount(1)
            .containsPattern("(^|[^a-z_.])" + Pattern.quote(key) + "($|[^a-z_])")
            .doesNotContainPattern("[a-z][a-z0-9]*[A-Z][a-z]");
      }
    }
    assertThat(refused).isGreaterThan(120);
  }

  private static List<String> suggested(String message) {
    var matcher = Pattern.compile("did you mean (.*)\\?$").matcher(message);
    if (!matcher.find()) {
      return List.of();
    }
    return List.of(matcher.group(1).split(", | or ", -1));
  }

  @Test
  void every_word_of_other_programs_leads_to_a_key_that_is_there() {
    for (String word : RunKeys.knownWords()) {
      var found = new ArrayList<String>();
      for (String family : FAMILIES) {
        List<String> keys = new ArrayList<>(RunKeys.keys(tree(family)));
        keys.add("series");
        for (String place : List.of("", "training.", "model.")) {
          ObjectNode said = said(family);
          if (keys.contains(place + word)) {
            continue;
          }
          RunKeys.put(said, place + word, IntNode.valueOf(1));
          Throwable error = catchThrowable(() -> RunConfig.DEFAULT.with(said, ""));
          assertThat(error).as(place + word).isInstanceOf(InvalidInputException.class);
          List<String> suggestions = suggested(String.valueOf(error.getMessage()));
          assertThat(keys).as(error.getMessage()).containsAll(suggestions);
          found.addAll(suggestions);
        }
      }
      assertThat(found).as(word).isNotEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          lr                     | optimizer.learning_rate
          learning_rate          | optimizer.learning_rate
          training.lr            | optimizer.learning_rate
          model.layers           | model.num_blocks
          n_layer                | model.num_blocks
          model.hidden_size      | model.embedding_dim
          n_embd                 | model.embedding_dim
          training.max_steps     | training.steps
          max_iters              | training.steps
          training.accumulate    | training.gradient_accumulation_steps
          training.carry_state   | training.truncated_bptt
          recompute_blocks       | training.activation_checkpointing
          schedule.final_fraction | schedule.min_lr_ratio
          max_skipped            | training.max_nonfinite_steps
          batch_size             | training.batch_size
          dropout                | model.dropout
          weight_decay           | optimizer.weight_decay
          block_size             | model.context_length
          context_length         | model.context_length
          max_epochs             | training.epochs
          seed                   | training.seed
          num_heads              | model.mlstm_block.mlstm.num_heads or model.slstm_block.slstm.num_heads
          model.num_heads        | model.mlstm_block.mlstm.num_heads or model.slstm_block.slstm.num_heads
          bf16                   | training.precision
          training.weight_dekay  | optimizer.weight_decay
          every                  | validation.every, checkpoints.every or logging.every
          watch.every            | logging.every
          loging.every           | logging.every
          model.slstm_blok.slstm.num_heads | model.slstm_block.slstm.num_heads
          """)
  void a_key_at_the_wrong_place_or_of_another_program_is_found(String word, String key) {
    var said = JsonNodeFactory.instance.objectNode();
    RunKeys.put(said, word, IntNode.valueOf(1));
    assertThatThrownBy(() -> RunConfig.DEFAULT.with(said, ""))
        .hasMessage("unknown key " + word + "; did you mean " + key + "?");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "model.num_blocks=1",
        "model.num_blocks=9",
        "model.embedding_dim=100",
        "model.embedding_dim=7",
        "model.slstm_at=[]",
        "model.slstm_at=all",
        "model.slstm_block=null",
        "model.mlstm_block=null",
        "model.context_length=17",
        "model.model_type=xlstm",
        "model.mlstm_block.mlstm.proj_factor=1.3",
        "model.mlstm_block.mlstm.round_proj_up_to_multiple_of=3",
        "training.steps=1",
        "training.gradient_accumulation_steps=3",
        "training.gradient_accumulation_steps=100",
        "training.epochs=0.5",
        "training.tokens=1000000",
        "training.minutes=1",
        "training.precision=bfloat16",
        "schedule.kind=wsd",
        "schedule.kind=exponential",
        "schedule.cooldown_steps=10",
        "logging.histograms_every=3",
        "data.tokenizer=bytes",
        "data.corpus=parity:3-40",
        "samples.temperature=0",
        "samples.prompts=[]",
        "optimizer.weight_decay=0"
      })
  void one_key_alone_can_be_changed(String pair) {
    var said = RunConfigFile.parse("", "");
    RunConfigFile.override(said, List.of(pair));
    RunConfig config = RunConfig.DEFAULT.with(said, "");
    // what is printed of it is the same run
    assertThat(RunConfig.DEFAULT.with(RunConfigFile.parse(RunConfigFile.toYaml(config), ""), ""))
        .isEqualTo(config);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"training.steps=1e3", "training.steps=1000.0", "{training: {steps: 1E3}}"})
  void a_whole_number_may_be_written_with_an_exponent(String written) {
    var said = RunConfigFile.parse(written.startsWith("{") ? written : "", "");
    if (!written.startsWith("{")) {
      RunConfigFile.override(said, List.of(written));
    }
    assertThat(RunConfig.DEFAULT.with(said, "").training().steps()).isEqualTo(1000);
  }

  @ParameterizedTest
  @ValueSource(strings = {"1e30", "2.5", "1.5e-7"})
  void a_number_that_is_not_whole_or_too_large_is_shown_as_it_was_written(String written) {
    var said = RunConfigFile.parse("", "");
    RunConfigFile.override(said, List.of("training.steps=" + written));
    assertThatThrownBy(() -> RunConfig.DEFAULT.with(said, ""))
        .hasMessage("training.steps must be a whole number, but is " + written);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          model.num_blocks=1          | model.slstm_at is [], because model.num_blocks is 1
          model.embedding_dim=90      | model.slstm_block.slstm.num_heads is 3, because model.embedding_dim is 90
          training.steps=60           | schedule.warmup_steps is 6, because training.steps is 60
          training.epochs=2           | training.steps is 0, because training.epochs is 2
          training.minutes=1.5        | training.steps is 0, because training.minutes is 1.5
          training.steps=6e1          | schedule.warmup_steps is 6, because training.steps is 60
          training.gradient_accumulation_steps=3       | training.batch_size is 18, because training.gradient_accumulation_steps is 3
          schedule.kind=wsd           | schedule.cooldown_steps is 180, because schedule.kind is wsd
          training.precision=bfloat16 | backend is libtorch, because training.precision is bfloat16
          """)
  void what_follows_is_said(String pair, String line) {
    var said = RunConfigFile.parse("", "");
    RunConfigFile.override(said, List.of(pair));
    assertThat(FollowingDefaults.of(said)).extracting(Object::toString).containsExactly(line);
  }

  @Test
  void a_large_model_gets_heads_that_divide_its_widths() {
    var said = RunConfigFile.parse("model: {model_type: xlstm, embedding_dim: 90}", "");
    assertThat(FollowingDefaults.of(said))
        .extracting(Object::toString)
        .containsExactly("model.num_heads is 3, because model.embedding_dim is 90");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          data: {tokenizer: bytes, vocab_size: 100} | data.vocab_size (100) means nothing here, because data.tokenizer is bytes and not bpe; leave it out
          data: {num_examples: 7}                  | data.num_examples (7) means nothing here, because data.corpus is no formal language, but wordnet; leave it out
          data: {num_validation_examples: 7}             | data.num_validation_examples (7) means nothing here, because data.corpus is no formal language, but wordnet; leave it out
          data: {corpus: 'parity:3-40', packing: documents} | data.packing (documents) means nothing here, because data.corpus is the formal language parity:3-40; leave it out
          data: {corpus_weight: 2}                  | data.corpus_weight (2) means nothing here, because data.mix is empty; leave it out
          schedule: {kind: constant, min_lr_ratio: 0.5} | schedule.min_lr_ratio (0.5) means nothing here, because schedule.kind is constant; leave it out
          schedule: {cooldown_fraction: 0.5}        | schedule.cooldown_fraction (0.5) means nothing here, because schedule.cooldown_steps is 0; leave it out
          samples: {temperature: 0, top_p: 0.5}     | samples.top_p (0.5) means nothing here, because samples.temperature is 0, which takes the likeliest token; leave it out
          model: {add_embedding_dropout: true}      | model.add_embedding_dropout (true) means nothing here, because model.dropout is 0; leave it out
          """)
  void a_key_that_would_be_ignored_is_refused(String yaml, String message) {
    assertThatThrownBy(() -> RunConfig.DEFAULT.with(RunConfigFile.parse(yaml, ""), ""))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(message);
  }
}
