package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// The program from training to text, and what it says to wrong input.
class ProgramTest {
  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path corpus;
  private static Path model;
  private static CommandLineRun training;

  @BeforeAll
  static void train_a_tiny_model() throws IOException {
    corpus = shared.resolve("tiny.txt");
    Files.writeString(corpus, "one two three\n<|endoftext|>\n".repeat(40) + "four five\n");
    model = shared.resolve("model");
    training = train(corpus, model);
  }

  private static CommandLineRun train(Path data, Path out, String... more) {
    String[] tiny = {
      "train",
      "--data",
      data.toString(),
      "--out",
      out.toString(),
      "--steps",
      "4",
      "data.tokenizer=bytes",
      "model.num_blocks=2",
      "model.embedding_dim=32",
      "model.context_length=16",
      "training.batch_size=2",
      "validation.every=2",
      "samples.max_tokens=4"
    };
    String[] all = Arrays.copyOf(tiny, tiny.length + more.length);
    System.arraycopy(more, 0, all, tiny.length, more.length);
    return CommandLineRun.of(all);
  }

  /// A copy of the trained model's folder that a test may damage.
  private Path copyOfModel() throws IOException {
    Path copy = Files.createDirectory(folder.resolve("copy"));
    for (String name : new String[] {"config.json", "model.safetensors", "manifest.json"}) {
      Files.copy(model.resolve(name), copy.resolve(name), StandardCopyOption.REPLACE_EXISTING);
    }
    return copy;
  }

  private static void assertRefused(CommandLineRun run, int code, String... parts) {
    assertThat(run.err()).contains(parts);
    assertThat(run.code()).isEqualTo(code);
    assertThat(run.err().lines().filter(line -> line.startsWith("xlstm: "))).hasSize(1);
    assertThat(run.err()).doesNotContain("\tat ");
    assertThat(run.err()).doesNotContain("not a mistake of yours");
  }

  @Test
  void training_says_what_it_does_and_ends_with_the_next_command() {
    assertThat(training.err()).isEmpty();
    assertThat(training.code()).isZero();
    assertThat(training.out())
        .contains("parameters: 2 blocks", "step 0: validation loss", "step 4: validation loss")
        .contains("done after step 4")
        .contains("xlstm generate --model " + model);
    assertThat(training.out()).doesNotContain("\r"); // no progress line where nobody watches
  }

  @Test
  void prepare_makes_a_folder_says_what_is_in_it_and_leaves_it_then() {
    Path out = folder.resolve("tokens");
    String[] command = {
      "prepare", "--data", corpus.toString(), "--tokenizer", "bytes", "--out", out.toString()
    };
    var run = CommandLineRun.of(command);
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out())
        .contains("reading " + corpus, "encoding " + corpus + ": train", "prepared " + out + " in ")
        .containsPattern(
            "train +[\\d,]+ tokens of [\\d,]+ documents, [\\d,]+ bytes of text, .* 1 file")
        .contains("train with: xlstm train --data " + out)
        .doesNotContain("\r");
    assertThat(out.resolve("tokens.json")).exists();
    assertThat(CommandLineRun.of(command).out()).contains("is up to date: it has these tokens");
    assertThat(CommandLineRun.of("prepare", "--verify", "--out", out.toString()).out())
        .contains("every file is as it was prepared");
    assertThat(train(out, folder.resolve("trained")).code()).isZero();
    var eval = CommandLineRun.of("eval", "--model", model.toString(), "--data", out.toString());
    var same = CommandLineRun.of("eval", "--model", model.toString(), "--data", corpus.toString());
    String figures = eval.out().substring(0, eval.out().indexOf("data "));
    assertThat(figures).contains("bits per byte");
    assertThat(same.out()).startsWith(figures);
  }

  @Test
  void prepare_refuses_what_it_cannot_do() throws IOException {
    Path out = folder.resolve("tokens");
    assertRefused(
        CommandLineRun.of("prepare", "--out", out.toString()), 2, "required option: '--data");
    assertRefused(
        CommandLineRun.of(
            "prepare", "--data", "wordnet", "--shard-tokens", "0", "--out", out.toString()),
        2,
        "--shard-tokens (0) must be positive");
    assertRefused(
        CommandLineRun.of("prepare", "--verify", "--out", out.toString()), 1, "no tokens.json");
    assertRefused(
        CommandLineRun.of("prepare", "--data", corpus.toString(), "--out", model.toString()),
        1,
        "is there and holds no prepared tokens");
    Path file = Files.writeString(folder.resolve("file"), "");
    assertRefused(
        CommandLineRun.of(
            "prepare", "--data", corpus.toString(), "--out", file.resolve("x").toString()),
        1,
        "cannot write " + file);
    assertThat(out).doesNotExist();
  }

  @Test
  void generate_prints_the_prompt_and_goes_on() {
    var run =
        CommandLineRun.of(
            "generate",
            "--model",
            model.toString(),
            "--prompt",
            "one",
            "--max-tokens",
            "5",
            "--seed",
            "1");
    assertThat(run.code()).isZero();
    assertThat(run.out()).startsWith("one").hasSizeGreaterThan(4);
  }

  @Test
  void the_same_seed_gives_the_same_text() {
    String[] command = {
      "generate",
      "--model",
      model.toString(),
      "--prompt",
      "one",
      "--max-tokens",
      "20",
      "--seed",
      "7"
    };
    assertThat(CommandLineRun.of(command).out()).isEqualTo(CommandLineRun.of(command).out());
  }

  @Test
  void several_prompts_are_printed_with_their_numbers() {
    var run =
        CommandLineRun.of(
            "generate",
            "--model",
            model.toString(),
            "--prompt",
            "one",
            "--prompt",
            "four",
            "--max-tokens",
            "3");
    assertThat(run.out()).contains("[1/2] one", "[2/2] four");
  }

  @Test
  void eval_gives_loss_perplexity_and_bits_per_byte() {
    var run = CommandLineRun.of("eval", "--model", model.toString(), "--data", corpus.toString());
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).containsPattern("loss +\\d\\.\\d{4} nats per token");
    assertThat(run.out()).containsPattern("perplexity +\\d+\\.\\d");
    assertThat(run.out()).containsPattern("bits per byte +\\d\\.\\d{4}");
    assertThat(run.out()).endsWith(": the part to validate on\n"); // the model's own corpus
  }

  @Test
  void inspect_shows_the_model_without_loading_it() {
    var run = CommandLineRun.of("inspect", model.toString(), "--tensors");
    assertThat(run.code()).isZero();
    assertThat(run.out())
        .contains("paper xLSTM", "1 mLSTM, 1 sLSTM at [1]", "F32")
        .contains("[257, 32]", "token_embedding.weight");
  }

  /// A model of the Large family whose numbers are all zero.
  private Path largeModel() throws IOException {
    var config = LargeModelConfig.of(257, 16, 2, 2);
    var tensors = new ArrayList<TensorData>();
    ModelTensors.of(config)
        .forEach((name, shape) ->
            tensors.add(
                TensorData.of(
                    name,
                    DType.F32,
                    shape,
                    new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)])));
    Path large = Files.createDirectory(folder.resolve("large"));
    Files.writeString(large.resolve("config.json"), new CheckpointConfig(config, "bytes").toJson());
    SafetensorsWriter.write(large.resolve("model.safetensors"), tensors, Map.of());
    return large;
  }

  @Test
  void inspect_shows_both_families_and_what_they_cost() throws IOException {
    var paper = CommandLineRun.of("inspect", model.toString());
    assertThat(paper.out()).containsPattern("parameters +\\d\\d,\\d{3}\n");
    // mLSTM of inner width 64, 4 heads: tail 3 x 64, memories 4 (256 + 16 + 1); sLSTM: 3 x 32, 4 x
    // 32
    assertThat(paper.out())
        .contains("state       %,d bytes".formatted(4 * (192 + 1092 + 96 + 128)));

    var large = CommandLineRun.of("inspect", largeModel().toString());
    assertThat(large.err()).isEmpty();
    assertThat(large.out())
        .contains("xLSTM Large", "2: mLSTM of 2 heads (queries 4, values 8 wide)")
        .contains("state       %,d bytes".formatted(4 * 2 * 2 * (32 + 4 + 1)));
  }

  @Test
  void convert_goes_through_every_layout_and_back() throws IOException {
    Path from = largeModel();
    String[][] ways = {
      {"--weights", "fused", "--dtype", "bfloat16"},
      {"--weights", "single", "--layout", "official", "--max-shard-size", "1KB"},
      {"--layout", "huggingface", "--dtype", "float32", "--max-shard-size", "2kb"},
    };
    for (int i = 0; i < ways.length; i++) {
      Path to = folder.resolve("way" + i);
      var command = new ArrayList<>(List.of("convert", from.toString(), to.toString()));
      command.addAll(List.of(ways[i]));
      var run = CommandLineRun.of(command.toArray(String[]::new));
      assertThat(run.err()).isEmpty();
      assertThat(run.code()).isZero();
      assertThat(run.out()).contains("wrote " + to + ": ");
      from = to;
    }
    assertThat(from.resolve("model.safetensors.index.json")).isRegularFile();
    // the built-in tokenizer was lost on the way through config.yaml, which was said
    var run = CommandLineRun.of("inspect", from.toString());
    assertThat(run.out()).contains("F32");
    assertRefused(CommandLineRun.of("generate", "--model", from.toString()), 1, "tokenizer.json");
  }

  @Test
  void generate_runs_a_model_of_the_large_family() throws IOException {
    var run =
        CommandLineRun.of(
            "generate", "--model", largeModel().toString(), "--prompt", "x", "--max-tokens", "3");
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out()).startsWith("x");
  }

  @Test
  void generate_ends_before_the_text_to_stop_at() {
    String[] command = {
      "generate",
      "--model",
      model.toString(),
      "--prompt",
      "one",
      "--seed",
      "3",
      "--max-tokens",
      "40"
    };
    String whole = CommandLineRun.of(command).out();
    String stop = whole.substring(10, 12);
    var all = new ArrayList<>(List.of(command));
    all.addAll(List.of("--stop", stop));
    var run = CommandLineRun.of(all.toArray(String[]::new));
    assertThat(run.code()).isZero();
    String begun = whole.substring("one".length());
    assertThat(run.out().strip())
        .isEqualTo(("one" + begun.substring(0, begun.indexOf(stop))).strip());
  }

  @ParameterizedTest(name = "{0} {1} {2}")
  @CsvSource({
    "--stop, '', runtime, --stop must not be empty",
    "--stop, x, torch, --stop needs --backend runtime",
    "--max-tokens, 0, runtime, --max-tokens (0) must be positive",
  })
  void generate_refuses_what_cannot_be(String option, String value, String backend, String why) {
    assertRefused(
        CommandLineRun.of(
            "generate", "--model", model.toString(), option, value, "--backend", backend),
        2,
        why);
  }

  @ParameterizedTest(name = "{0} becomes {1}")
  @CsvSource({
    "../model.safetensors, 'model.safetensors.index.json'",
    "/etc/passwd, 'model.safetensors.index.json'",
    "missing-00001-of-00002.safetensors, 'missing-00001-of-00002.safetensors'"
  })
  void generate_refuses_an_index_that_leads_elsewhere(String shard, String named)
      throws IOException {
    Path large = largeModel();
    Path whole = large.resolve("model.safetensors");
    try (var tensors = SafetensorsFile.open(whole)) {
      String map =
          tensors.tensors().keySet().stream()
              .map(name -> "\"" + name + "\": \"" + shard + "\"")
              .collect(Collectors.joining(", "));
      Files.writeString(
          large.resolve("model.safetensors.index.json"), "{\"weight_map\": {" + map + "}}");
    }
    Files.delete(whole);
    assertRefused(CommandLineRun.of("generate", "--model", large.toString()), 1, named);
  }

  @ParameterizedTest(name = "{0}")
  @CsvSource({
    "'\"model_type\" : \"xlstm\"', '\"model_type\" : \"mamba\"', model_type",
    "'\"vocab_size\" : 257', '\"vocab_size\" : 258', '258'",
    "'\"vocab_size\" : 257', '\"vocab_size\" : 99999999999', vocab_size",
  })
  void generate_refuses_a_configuration_that_does_not_fit(String before, String after, String named)
      throws IOException {
    Path large = largeModel();
    Path config = large.resolve("config.json");
    String text = Files.readString(config);
    assertThat(text).contains(before);
    Files.writeString(config, text.replace(before, after));
    Files.deleteIfExists(large.resolve("manifest.json"));
    assertRefused(CommandLineRun.of("generate", "--model", large.toString()), 1, named);
  }

  @Test
  void a_tokenizer_json_with_ids_beyond_the_vocabulary_is_refused() throws IOException {
    Path large = largeModel();
    Files.writeString(
        large.resolve("tokenizer.json"),
        """
        {"version": "1.0", "added_tokens": [{"id": 300, "content": "<|endoftext|>", "special": true,
         "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
         "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
         "truncation": null, "padding": null,
         "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "<|endoftext|>": 300}, "merges": []}}
        """);
    assertRefused(
        CommandLineRun.of("generate", "--model", large.toString()), 1, "tokenizer", "257");
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({
    "--layout, jax, huggingface or official",
    "--weights, both, single or fused",
    "--slstm-kernels, triton, cuda or vanilla",
    "--dtype, int8, 'float32, bfloat16 or float16'",
    "--quantize, int4, int8",
    "--max-shard-size, 0GB, a size such as",
    "--max-shard-size, 5 TB, a size such as"
  })
  void convert_refuses_what_it_does_not_know(String option, String value, String right) {
    assertRefused(
        CommandLineRun.of("convert", model.toString(), "out", option, value),
        2,
        option + " (" + value + ") must be " + right);
  }

  @Test
  void convert_refuses_what_does_not_go_with_quantize() {
    String from = model.toString();
    assertRefused(
        CommandLineRun.of("convert", from, "out", "--quantize", "int8", "--group", "7"),
        2,
        "--group (7) must be 32, 64, 128 or 0");
    assertRefused(
        CommandLineRun.of("convert", from, "out", "--quantize", "int8", "--dtype", "float16"),
        2,
        "--quantize goes with --group only");
  }

  @Test
  void convert_refuses_what_the_family_does_not_have() {
    assertRefused(
        CommandLineRun.of(
            "convert", model.toString(), folder.resolve("out").toString(), "--weights", "fused"),
        1,
        "is of the paper family");
  }

  @Test
  void doctor_finds_the_cells_sound() {
    var run = CommandLineRun.of("doctor");
    assertThat(run.code()).isZero();
    assertThat(run.out()).contains("libtorch  2.", "MiB free", "sLSTM block", "all is well");
  }

  @Test
  void print_config_is_a_configuration_again() throws IOException {
    var first = CommandLineRun.of("train", "--print-config", "training.steps=9");
    Path file = Files.writeString(folder.resolve("run.yaml"), first.out());
    var second = CommandLineRun.of("train", "--print-config", "--config", file.toString());
    // what followed is a comment; now it is given
    assertThat(first.out()).endsWith("# schedule.warmup_steps is 0, because training.steps is 9\n");
    assertThat(second.out()).isEqualTo(first.out().replaceAll("(?m)^#.*\n", ""));
    assertThat(second.out()).contains("  steps: 9\n", "  warmup_steps: 0\n");
  }

  @Test
  void resume_goes_on() {
    var run = CommandLineRun.of("train", "--resume", "--out", model.toString(), "--steps", "6");
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).contains("going on after step 4", "done after step 6");
  }

  @Test
  void train_from_a_model_says_so_writes_it_down_and_keeps_to_it() throws IOException {
    Path out = folder.resolve("tuned");
    String[] command = {
      "train",
      "--from",
      model.toString(),
      "--data",
      corpus.toString(),
      "--out",
      out.toString(),
      "--steps",
      "2",
      "training.batch_size=2",
      "samples.max_tokens=4"
    };
    var run = CommandLineRun.of(command);
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    assertThat(run.out())
        .contains("starting with the weights of " + model, "2 blocks (sLSTM at [1]), width 32");
    assertThat(out.resolve("run.yaml")).content().contains("from: " + model, "tokenizer: bytes");

    String[] resume = {"train", "--resume", "--out", out.toString(), "--steps", "3", "--from", ""};
    resume[7] = model + "/.";
    assertThat(CommandLineRun.of(resume).out()).contains("going on after step 2");
    resume[7] = folder.toString();
    assertRefused(
        CommandLineRun.of(resume), 1, "--resume: from was \"" + model, "start a new run for that");

    String[] dry = Arrays.copyOf(command, command.length + 1);
    dry[command.length] = "--dry-run";
    assertThat(CommandLineRun.of(dry).out()).containsPattern("from +" + model);
    dry[command.length] = "model.num_blocks=3";
    dry[6] = folder.resolve("other").toString();
    assertRefused(
        CommandLineRun.of(dry), 2, "model.num_blocks is 3, but 2 in the model of from (" + model);
    assertThat(folder.resolve("other")).doesNotExist();
  }

  // wrong usage: 2

  @Test
  void an_unknown_command_suggests_the_nearest() {
    var run = CommandLineRun.of("trian");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err()).contains("trian", "train");
  }

  @Test
  void a_missing_option_is_named() {
    assertRefused(CommandLineRun.of("generate"), 2, "--model");
  }

  @Test
  void resume_without_a_folder_says_what_it_needs() {
    assertRefused(CommandLineRun.of("train", "--resume"), 2, "--resume needs --out");
  }

  @Test
  void a_device_of_an_unknown_kind_is_wrong_usage() {
    String message = "--device (tpu) must be cpu, cuda or cuda:N";
    String given = model.toString();
    assertRefused(CommandLineRun.of("train", "--device", "tpu"), 2, message);
    assertRefused(CommandLineRun.of("eval", "--model", given, "--device", "tpu"), 2, message);
    assertRefused(CommandLineRun.of("generate", "--model", given, "--device", "tpu"), 2, message);
  }

  @Test
  void a_temperature_below_zero_is_refused() {
    assertRefused(
        CommandLineRun.of("generate", "--model", model.toString(), "--temperature", "-1"),
        2,
        "--temperature (-1.0) must not be negative");
    assertRefused(
        CommandLineRun.of("generate", "--model", model.toString(), "--top-k", "-1"),
        2,
        "--top-k (-1) must not be negative");
  }

  @Test
  void an_option_that_would_count_for_nothing_is_refused() {
    assertRefused(
        CommandLineRun.of(
            "convert", model.toString(), folder.resolve("x").toString(), "--group=64"),
        2,
        "--group goes with --quantize int8");
    assertRefused(
        CommandLineRun.of(
            "prepare",
            "--data",
            corpus.toString(),
            "--out",
            folder.resolve("y").toString(),
            "--tokenizer=bytes",
            "--vocab-size=300"),
        2,
        "--vocab-size goes with --tokenizer bpe; bytes has a vocabulary of its own");
  }

  @Test
  void convert_writes_over_no_run() throws IOException {
    Path run = Files.createDirectories(folder.resolve("run"));
    Files.createFile(run.resolve("run.yaml"));
    assertRefused(
        CommandLineRun.of("convert", model.toString(), run.toString()),
        1,
        "is the folder of a run or of its state (it has run.yaml)");
  }

  // wrong input: 1

  @Test
  void a_folder_without_a_checkpoint_is_named() {
    assertRefused(
        CommandLineRun.of("generate", "--model", folder.toString()),
        1,
        "config.json",
        "checkpoint");
  }

  @Test
  void a_missing_weights_file_is_named() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("model.safetensors"));
    assertRefused(
        CommandLineRun.of("generate", "--model", copy.toString()), 1, "model.safetensors");
  }

  @Test
  void a_truncated_weights_file_is_found_by_its_manifest() throws IOException {
    Path copy = copyOfModel();
    Path weights = copy.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 100));
    assertRefused(
        CommandLineRun.of("generate", "--model", copy.toString()),
        1,
        "model.safetensors",
        Integer.toString(bytes.length),
        Integer.toString(bytes.length - 100));
  }

  @Test
  void a_truncated_weights_file_is_found_without_a_manifest_too() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("manifest.json"));
    Path weights = copy.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 100));
    assertRefused(CommandLineRun.of("inspect", copy.toString()), 1, "model.safetensors");
  }

  @Test
  void weights_of_another_model_are_refused_with_both_shapes() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("manifest.json"));
    String config = Files.readString(copy.resolve("config.json"));
    Files.writeString(
        copy.resolve("config.json"),
        config.replace("\"embedding_dim\" : 32", "\"embedding_dim\" : 64"));
    assertRefused(
        CommandLineRun.of("generate", "--model", copy.toString()),
        1,
        "the configuration asks for",
        "64]",
        "32]");
  }

  @Test
  void heads_that_do_not_divide_are_refused_with_both_numbers() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("manifest.json"));
    String config = Files.readString(copy.resolve("config.json"));
    Files.writeString(
        copy.resolve("config.json"), config.replace("\"num_heads\" : 4", "\"num_heads\" : 5"));
    assertRefused(
        CommandLineRun.of("generate", "--model", copy.toString()), 1, "num_heads (5) must divide");
  }

  @Test
  void a_tokenizer_with_more_ids_than_the_model_is_refused_with_both_numbers() throws IOException {
    Path copy = copyOfModel();
    Files.delete(copy.resolve("manifest.json"));
    String config = Files.readString(copy.resolve("config.json"));
    Files.writeString(
        copy.resolve("config.json"),
        config.replace("\"tokenizer\" : \"bytes\"", "\"tokenizer\" : \"gpt2\""));
    assertRefused(
        CommandLineRun.of("generate", "--model", copy.toString()),
        1,
        "50257",
        "257",
        "different models");
  }

  @Test
  void an_unknown_key_suggests_the_nearest() {
    assertRefused(
        CommandLineRun.of("train", "training.stepz=3"),
        2,
        "training.stepz",
        "did you mean training.steps?");
  }

  @Test
  void the_command_line_is_wrong_usage_and_a_file_is_wrong_input() throws IOException {
    assertRefused(CommandLineRun.of("train", "--steps=-3"), 2, "training.steps (-3) must not");
    assertRefused(CommandLineRun.of("train", "training.steps=-3"), 2, "training.steps (-3) must");
    assertRefused(CommandLineRun.of("train", "optimizer="), 2, "optimizer is a section");
    Path file = Files.writeString(folder.resolve("run.yaml"), "training: {steps: -3}");
    assertRefused(CommandLineRun.of("train", "--config", file.toString()), 1, "run.yaml: training");
    Files.writeString(file, "training: {steps: 3}");
    assertRefused(
        CommandLineRun.of("train", "--config", file.toString(), "optimizer.beta1=2"),
        2,
        "optimizer.beta1 (2.0) must be in");
    assertRefused(
        CommandLineRun.of("train", "--steps", "3", "training.steps=4"),
        2,
        "--steps 3 and training.steps=4 say different things");
    assertRefused(
        CommandLineRun.of("train", "--resume", "--out", model.toString(), "lr=1"),
        2,
        "did you mean optimizer.learning_rate?");
  }

  @Test
  void an_empty_section_in_a_file_is_one_of_defaults() throws IOException {
    Path file = Files.writeString(folder.resolve("run.yaml"), "optimizer:\nmodel:\n");
    var run = CommandLineRun.of("train", "--config", file.toString(), "--print-config");
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).isEqualTo(CommandLineRun.of("train", "--print-config").out());
  }

  @Test
  void defaults_that_follow_are_printed_with_the_configuration() {
    var run = CommandLineRun.of("train", "--print-config", "model.num_blocks=1");
    assertThat(run.out())
        .contains("slstm_at: []")
        .endsWith("# model.slstm_at is [], because model.num_blocks is 1\n");
  }

  @Test
  void without_a_command_the_help_is_printed() {
    var run = CommandLineRun.of();
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).startsWith("Usage: xlstm").contains("train", "generate", "doctor");
  }

  @Test
  void no_line_of_a_help_is_broken_within_a_word() {
    for (String command : List.of("train", "runs", "eval", "prepare")) {
      String help = CommandLineRun.of(command, "--help").out();
      assertThat(help.lines()).as(command).allMatch(line -> line.length() <= 80);
      var subcommand = Main.commandLine(command).getSubcommands().get(command);
      var spec = Objects.requireNonNull(subcommand).getCommandSpec();
      for (String line : spec.usageMessage().footer()) {
        String shown = line.replace("${ROOT-COMMAND-NAME}", "xlstm").strip();
        assertThat(help.lines().map(String::strip)).as(command).contains(shown);
      }
      for (var option : spec.options()) {
        assertThat(help).as(command).contains(option.longestName());
      }
    }
    assertThat(CommandLineRun.of("train", "--help").out()).contains("--rendezvous=HOST:PORT");
  }

  @Test
  void an_override_without_a_value_is_refused() {
    assertRefused(CommandLineRun.of("train", "steps"), 2, "\"steps\" must be key=value");
  }

  @Test
  void a_missing_configuration_file_is_named() {
    assertRefused(CommandLineRun.of("train", "--config", "nowhere.yaml"), 1, "nowhere.yaml");
  }

  @Test
  void an_empty_corpus_is_refused_and_nothing_is_left() throws IOException {
    Path empty = Files.writeString(folder.resolve("empty.txt"), "");
    Path out = folder.resolve("out");
    assertRefused(train(empty, out), 1, "empty.txt");
    assertThat(out).doesNotExist();
  }

  @Test
  void a_corpus_that_is_not_utf8_is_refused_with_the_place() throws IOException {
    Path latin = folder.resolve("latin.txt");
    Files.write(latin, new byte[] {'n', 'a', (byte) 0xEF, 'v', 'e', '\n'});
    assertRefused(train(latin, folder.resolve("out")), 1, "latin.txt", "UTF-8", "2");
  }

  @Test
  void an_output_path_that_is_a_file_is_refused() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "mine");
    assertRefused(train(corpus, file), 1, file.toString(), "is a file");
    assertThat(file).hasContent("mine");
  }

  @Test
  void an_output_folder_that_is_not_empty_is_refused() {
    assertRefused(train(corpus, model), 1, model.toString(), "not empty", "--resume");
  }

  @Test
  void an_unknown_device_is_refused() {
    assertRefused(
        train(corpus, folder.resolve("out"), "device=tpu"),
        2,
        "device (tpu) must be cpu, cuda or cuda:N");
  }

  @Test
  void verbose_shows_the_stack() {
    var run = CommandLineRun.of("--verbose", "train", "--config", "nowhere.yaml");
    assertThat(run.code()).isEqualTo(1);
    assertThat(run.err()).contains("nowhere.yaml", "\tat ");
  }
}
