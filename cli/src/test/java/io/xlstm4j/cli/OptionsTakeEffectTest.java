package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.text.Tokenizer;
import io.xlstm4j.text.Tokenizers;
import io.xlstm4j.train.run.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// An option that is read and then forgotten changes nothing: each is given, and what it changes is
/// looked at.
class OptionsTakeEffectTest {
  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path model;

  @BeforeAll
  static void train_a_tiny_model() throws IOException {
    Path corpus = Files.writeString(shared.resolve("tiny.txt"), "ab\n<|endoftext|>\n".repeat(40));
    model = shared.resolve("model");
    var run =
        CommandLineRun.of(
            "train",
            "--data",
            corpus.toString(),
            "--out",
            model.toString(),
            "--steps",
            "4",
            "data.tokenizer=bytes",
            "model.num_blocks=2",
            "model.slstm_at=[1]",
            "model.embedding_dim=32",
            "model.context_length=16",
            "training.batch_size=2",
            "validation.every=4",
            "checkpoints.every=1",
            "checkpoints.keep_every=1",
            "samples.max_tokens=1");
    assertThat(run.err()).isEmpty();
  }

  private static Path copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path each : all.toList()) {
        Files.copy(each, to.resolve(from.relativize(each).toString()));
      }
    }
    return to;
  }

  @Test
  void a_resume_from_an_earlier_step_trains_the_steps_after_it_again() throws IOException {
    Path run = copy(model, folder.resolve("run"));
    var resumed =
        CommandLineRun.of(
            "train", "--resume", "--from-step", "1", "--steps", "3", "--out", run.toString());
    assertThat(resumed.err()).isEmpty();
    assertThat(RunFolder.of(run).readState().step()).isEqualTo(3);
    assertThat(resumed.out()).contains("done after step 3");
  }

  private static String generate(String... more) {
    var all = new ArrayList<>(List.of("generate", "--model", model.toString(), "--prompt", "a"));
    all.addAll(Arrays.asList(more));
    if (!all.contains("--max-tokens")) {
      all.addAll(List.of("--max-tokens", "24"));
    }
    var run = CommandLineRun.of(all.toArray(String[]::new));
    assertThat(run.err()).isEmpty();
    return run.out();
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"runtime", "torch"})
  void options_of_sampling_reach_the_sampler(String backend) {
    String[] free = {"--backend", backend, "--temperature", "2", "--top-p", "1"};
    String first = generate(with(free, "--seed", "1"));
    assertThat(generate(with(free, "--seed", "1"))).as("the same seed").isEqualTo(first);
    assertThat(generate(with(free, "--seed", "2"))).as("another seed").isNotEqualTo(first);

    String greedy = generate("--backend", backend, "--temperature", "0");
    assertThat(greedy).isNotEqualTo(first);
    assertThat(generate(with(free, "--seed", "1", "--top-k", "1"))).isEqualTo(greedy);
    String[] narrow = {"--backend", backend, "--temperature", "2", "--top-p", "1e-9"};
    assertThat(generate(with(narrow, "--seed", "1"))).isEqualTo(greedy);
    assertThat(generate("--backend", backend, "--temperature", "1e-6", "--seed", "1"))
        .isEqualTo(greedy);

    assertThat(generate(with(free, "--seed", "1", "--max-tokens", "3")))
        .hasSizeLessThan(first.length());
  }

  @ParameterizedTest(name = "{0}")
  @ValueSource(strings = {"runtime", "torch"})
  void a_high_repetition_penalty_repeats_no_token(String backend) {
    String text =
        generate(
            "--backend",
            backend,
            "--temperature",
            "0",
            "--repetition-penalty",
            "1e6",
            "--max-tokens",
            "12");
    String plain = generate("--backend", backend, "--temperature", "0", "--max-tokens", "12");
    assertThat(distinct(text)).isGreaterThan(distinct(plain));
  }

  private static int distinct(String text) {
    var seen = new HashSet<Integer>();
    text.codePoints().forEach(seen::add);
    return seen.size();
  }

  private static String[] with(String[] first, String... more) {
    String[] all = Arrays.copyOf(first, first.length + more.length);
    System.arraycopy(more, 0, all, first.length, more.length);
    return all;
  }

  @Test
  void convert_writes_recurrent_kernels_in_the_layout_that_was_asked_for() {
    String kernel = "xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_";
    long[][] shapes = new long[2][];
    for (String layout : new String[] {"cuda", "vanilla"}) {
      Path to = folder.resolve(layout);
      var run =
          CommandLineRun.of("convert", model.toString(), to.toString(), "--slstm-kernels", layout);
      assertThat(run.err()).isEmpty();
      try (var weights = SafetensorsFile.open(to.resolve("model.safetensors"))) {
        shapes[layout.equals("cuda") ? 0 : 1] = weights.info(kernel).shape();
      }
    }
    long heads = shapes[0][0];
    long headDim = 32 / heads;
    assertThat(shapes[0]).containsExactly(heads, headDim, 4 * headDim);
    assertThat(shapes[1]).containsExactly(heads, 4 * headDim, headDim);
  }

  @Test
  void prepare_trains_a_tokenizer_of_the_size_that_was_asked_for() throws IOException {
    Path text =
        Files.writeString(
            folder.resolve("words.txt"),
            "one two three four five six seven\n<|endoftext|>\n".repeat(50));
    Path out = folder.resolve("tokens");
    var run =
        CommandLineRun.of(
            "prepare",
            "--data",
            text.toString(),
            "--tokenizer",
            "bpe",
            "--vocab-size",
            "263",
            "--out",
            out.toString());
    assertThat(run.err()).isEmpty();
    try (Tokenizer tokenizer = Tokenizers.fromFile(out.resolve(Tokenizers.FILE_NAME))) {
      assertThat(tokenizer.vocabSize()).isEqualTo(263);
    }
  }

  @Test
  void runs_writes_a_report_into_each_folder_where_it_was_asked_to() throws IOException {
    Path runs = Files.createDirectory(folder.resolve("runs"));
    Path run = copy(model, runs.resolve("one"));
    Files.delete(run.resolve("report.html"));
    assertThat(CommandLineRun.of("runs", runs.toString()).code()).isZero();
    assertThat(run.resolve("report.html")).doesNotExist();
    assertThat(CommandLineRun.of("runs", runs.toString(), "--report").code()).isZero();
    assertThat(run.resolve("report.html")).isNotEmptyFile();
  }
}
