package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.runtime.Generation;
import io.xlstm4j.runtime.Request;
import io.xlstm4j.runtime.RuntimeModel;
import io.xlstm4j.text.BpeTrainer;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The program with a folder as other programs write it.
class OtherModelsTest {
  private static final int VOCAB = 262;

  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path original;
  private static Path corpus;

  @BeforeAll
  static void write_a_model() throws IOException {
    corpus = Files.writeString(shared.resolve("c.txt"), "one\n<|endoftext|>\n".repeat(30) + "two");
    original = Files.createDirectory(shared.resolve("model"));
    new BpeTrainer(VOCAB)
        .train(Stream.of("one two three one two three", "three two one"))
        .save(original.resolve("tokenizer.json"));
    var config = LargeModelConfig.of(VOCAB, 64, 2, 2);
    Files.writeString(
        original.resolve("config.json"),
        "{\"model_type\": \"xlstm\", \"vocab_size\": 262, \"hidden_size\": 64,"
            + " \"num_hidden_layers\": 2, \"num_heads\": 2}");
    var random = new Random(4);
    var tensors = new ArrayList<TensorData>();
    ModelTensors.of(config)
        .forEach((name, shape) -> {
          var values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
          for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian() * 0.3f;
          }
          tensors.add(TensorData.of(name, DType.F32, shape, values));
        });
    SafetensorsWriter.write(original.resolve("model.safetensors"), tensors, Map.of());
  }

  private Path copy() throws IOException {
    Path copy = Files.createDirectory(folder.resolve("copy"));
    for (String name : List.of("config.json", "tokenizer.json", "model.safetensors")) {
      Files.copy(original.resolve(name), copy.resolve(name));
    }
    return copy;
  }

  private static void assertRefused(CommandLineRun run, String... parts) {
    assertThat(run.err()).contains(parts).doesNotContain("not a mistake of yours");
    assertThat(run.err().lines()).hasSize(1);
    assertThat(run.code()).isEqualTo(1);
  }

  private static CommandLineRun generate(Path model, String... more) {
    Stream<String> command =
        Stream.of(
            "generate", "--model", model.toString(), "--temperature", "0", "--max-tokens", "9");
    return CommandLineRun.of(Stream.concat(command, Stream.of(more)).toArray(String[]::new));
  }

  /// Nine tokens after some ids, whatever ends a text.
  private static int[] free(int... prompt) {
    try (var model = RuntimeModel.open(original, 1);
        var generation = new Generation(model)) {
      var request = Request.of(prompt).withMaxTokens(9).withEndTokens(Set.of());
      var completion = generation.add(request, _ -> {});
      generation.run();
      return completion.tokens();
    }
  }

  private static int[] with(int first, int[] rest) {
    return IntStream.concat(IntStream.of(first), Arrays.stream(rest)).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"runtime", "torch"})
  void a_prompt_begins_and_a_text_ends_as_the_files_say(String backend) throws IOException {
    Path model = copy();
    try (Tokenizer tokenizer = Tokenizers.fromFile(model.resolve("tokenizer.json"))) {
      int[] text = tokenizer.encode("one two");
      String[] more = {"--prompt", "one two", "--backend", backend};

      int[] bare = free(text);
      assertThat(generate(model, more).out())
          .isEqualTo("one two" + tokenizer.decode(bare) + System.lineSeparator());

      int end = Arrays.stream(bare).skip(3).filter(id -> id != bare[0]).findFirst().orElseThrow();
      int at = IntStream.range(0, 9).filter(i -> bare[i] == end).findFirst().orElseThrow();
      Files.writeString(
          model.resolve("generation_config.json"), "{\"eos_token_id\": [261, " + end + "]}");
      assertThat(generate(model, more).out())
          .isEqualTo(
              "one two" + tokenizer.decode(Arrays.copyOf(bare, at)) + System.lineSeparator());

      Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": 261}");
      Files.writeString(
          model.resolve("tokenizer_config.json"),
          "{\"bos_token\": \"<|endoftext|>\", \"add_bos_token\": true}");
      assertThat(generate(model, more).out())
          .isEqualTo("one two" + tokenizer.decode(free(with(0, text))) + System.lineSeparator());
    }
  }

  @Test
  void an_end_that_is_an_ordinary_word_is_reported_once_by_every_command() throws IOException {
    Path model = copy();
    Files.writeString(model.resolve("generation_config.json"), "{\"eos_token_id\": [0, 65]}");
    String warning = "eos_token_id 65 is the ordinary word 'a' of tokenizer.json";
    for (String backend : List.of("runtime", "torch")) {
      var run = generate(model, "--prompt", "one", "--prompt", "two", "--backend", backend);
      assertThat(run.code()).isZero();
      assertThat(run.err()).contains("xlstm: warning: ", warning);
      assertThat(run.err().lines()).hasSize(1);
    }
    var eval = CommandLineRun.of("eval", "--model", model.toString(), "--data", corpus.toString());
    assertThat(eval.code()).isZero();
    assertThat(eval.err()).contains(warning);
    assertThat(CommandLineRun.of("inspect", model.toString()).out())
        .contains(warning, "a text      begins with nothing before it, ends with token 0 or 65");
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.NEGATIVE_INFINITY})
  void a_weight_that_is_not_finite_is_named_by_every_command_that_reads_weights(float bad)
      throws IOException {
    Path model = copy();
    var tensors = new ArrayList<TensorData>();
    String name = "backbone.blocks.1.ffn.proj_up.weight";
    try (var stored = SafetensorsFile.open(original.resolve("model.safetensors"))) {
      for (TensorInfo info : stored.tensors().values()) {
        float[] values = stored.floats(info.name());
        if (info.name().equals(name)) {
          values[7] = bad;
        }
        tensors.add(TensorData.of(info.name(), DType.F32, info.shape(), values));
      }
    }
    SafetensorsWriter.write(model.resolve("model.safetensors"), tensors, Map.of());
    String[] parts = {"tensor '" + name + "' has a number that is not finite: element 7 of"};
    String out = folder.resolve("out").toString();
    String in = model.toString();
    assertRefused(generate(model), parts);
    assertRefused(generate(model, "--backend", "torch"), parts);
    assertRefused(CommandLineRun.of("eval", "--model", in, "--data", corpus.toString()), parts);
    assertRefused(CommandLineRun.of("convert", in, out), parts);
    assertRefused(CommandLineRun.of("convert", in, out, "--quantize", "int8"), parts);
    String[] train = {"train", "--from", in, "--data", corpus.toString(), "--out", out};
    var run = CommandLineRun.of(train);
    assertThat(run.err()).contains(parts);
    assertThat(run.code()).isEqualTo(1);
  }

  /// The state is carried on from window to window, so their length is free.
  @Test
  void a_context_length_beyond_all_measure_takes_no_memory() throws IOException {
    Path model = copy();
    String config = Files.readString(model.resolve("config.json"));
    String[] eval = {"eval", "--model", model.toString(), "--data", corpus.toString()};
    String usual = CommandLineRun.of(eval).out();
    assertThat(usual).contains("bits per byte");
    Files.writeString(
        model.resolve("config.json"), config.replace("}", ", \"context_length\": 2147483647}"));
    var run = CommandLineRun.of(eval);
    assertThat(run.err()).isEmpty();
    assertThat(run.out()).isEqualTo(usual);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "generation_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "model.safetensors.index.json",
        "manifest.json"
      })
  void a_file_without_a_byte_or_cut_short_is_named_in_one_line(String name) throws IOException {
    Path model = copy();
    Path file = model.resolve(name);
    boolean there = Files.exists(file);
    byte[] whole =
        there ? Files.readAllBytes(file) : "{\"a\": [1, 2".getBytes(StandardCharsets.UTF_8);
    for (int length : new int[] {0, 1, whole.length / 2}) {
      Files.write(file, Arrays.copyOf(whole, length));
      assertRefused(generate(model), name);
    }
  }

  @Test
  void inspect_and_convert_say_what_is_stored() throws IOException {
    Path model = copy();
    Path int8 = folder.resolve("int8");
    Path half = folder.resolve("half");
    var run = CommandLineRun.of("convert", model.toString(), int8.toString(), "--quantize", "int8");
    assertThat(run.out()).matches("wrote .*int8: \\d+ kB, int8 with scales, \\d+ tensors\\R");
    long bytes = Files.size(int8.resolve("model.safetensors"));
    assertThat(CommandLineRun.of("inspect", int8.toString()).out())
        .containsPattern("stored +\\d+ kB, int8 with scales, \\d+ tensors")
        .contains("(%,d bytes)".formatted(bytes))
        .containsPattern("  I8 +[\\d,]+ numbers in \\d+ tensors, \\d+ kB")
        .containsPattern("  F32 +[\\d,]+ numbers in \\d+ tensors, \\d+ kB");
    run =
        CommandLineRun.of(
            "convert",
            model.toString(),
            half.toString(),
            "--dtype",
            "bfloat16",
            "--max-shard-size",
            "100KB");
    assertThat(run.out()).matches("wrote .*half: \\d+ kB, bfloat16, 33 tensors in \\d files\\R");
  }

  @Test
  void a_prompt_may_be_a_file_or_the_standard_input() throws IOException {
    Path file = Files.writeString(folder.resolve("prompt.txt"), "one zwölf\n");
    assertThat(generate(original, "--prompt-file", file.toString()).out())
        .startsWith("one zwölf")
        .isEqualTo(generate(original, "--prompt", "one zwölf").out());
    InputStream before = System.in;
    System.setIn(new ByteArrayInputStream("one zwölf".getBytes(StandardCharsets.UTF_8)));
    try {
      assertThat(generate(original, "--prompt", "two", "--prompt-file", "-").out())
          .contains("[1/2] two", "[2/2] one zwölf");
    } finally {
      System.setIn(before);
    }
    String none = folder.resolve("none").toString();
    assertRefused(
        generate(original, "--prompt-file", none), "--prompt-file " + none, "no such file");
    Files.write(file, new byte[] {'a', (byte) 0xE9});
    assertRefused(generate(original, "--prompt-file", file.toString()), "not UTF-8 text");
    assertThat(generate(original, "--prompt-file", "-", "--prompt-file", "-").code()).isEqualTo(2);
  }

  @Test
  void an_interrupted_text_ends_its_line_and_nothing_comes_after_it() {
    var printed = new StringWriter();
    TextOutput output = TextOutput.of(new PrintWriter(printed), List.of("once"));
    output.leave();
    assertThat(printed.toString()).as("no line was begun").isEmpty();

    output = TextOutput.of(new PrintWriter(printed), List.of("once"));
    assertThat(output.text(0, " upon")).isTrue();
    output.leave();
    assertThat(output.text(0, " a")).isFalse();
    output.end(0, " time");
    output.leave();
    assertThat(printed.toString()).isEqualTo("once upon" + System.lineSeparator());
  }
}
