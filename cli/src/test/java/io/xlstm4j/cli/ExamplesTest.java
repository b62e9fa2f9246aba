package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Everything in `examples/`, tried.
class ExamplesTest {
  private static final Path EXAMPLES =
      Path.of(System.getProperty("user.dir")).resolveSibling("examples");

  @TempDir private static Path shared;
  @TempDir private Path folder;

  private static Path corpus;

  @BeforeAll
  static void write_a_corpus() throws IOException {
    corpus = Files.createDirectory(shared.resolve("corpus"));
    String stories = "One day a cat met a dog. They sat down.\n<|endoftext|>\n";
    Files.writeString(corpus.resolve("TinyStoriesV2-GPT4-train.txt"), stories.repeat(80));
    Files.writeString(corpus.resolve("TinyStoriesV2-GPT4-valid.txt"), stories.repeat(8));
  }

  /// The keys that make an example small, keys to add, after which it must say what it would train.
  private static List<String> small(String example) {
    return switch (example) {
      case "wordnet.yaml" -> List.of("--data", corpus.toString(), "data.vocab_size=270");
      case "tinystories.yaml" -> List.of("--data", prepared("gpt2"));
      case "large-165m.yaml" -> // as it is, its model and moments take 2 GB, and a GPU
          List.of(
              "--data",
              prepared("bytes"),
              "--device",
              "cpu",
              "model.num_blocks=1",
              "model.embedding_dim=64");
      case "parity.yaml" -> List.of();
      case "series.yaml" -> List.of("--data", EXAMPLES.resolve("ausbeer.csv").toString());
      default -> throw new IllegalStateException("say here how to try examples/" + example);
    };
  }

  /// As the comment in the example says.
  private static String prepared(String tokenizer) {
    Path out = shared.resolve("prepared-" + tokenizer);
    var run =
        CommandLineRun.of(
            "prepare",
            "--data",
            corpus.toString(),
            "--tokenizer",
            tokenizer,
            "--out",
            out.toString());
    assertIsSound(run);
    return out.toString();
  }

  private static void assertIsSound(CommandLineRun run) {
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
  }

  static Stream<String> examples() throws IOException {
    try (Stream<Path> files = Files.list(EXAMPLES)) {
      List<String> names =
          files
              .map(file -> file.getFileName().toString())
              .filter(n -> n.endsWith(".yaml"))
              .toList();
      assertThat(names).hasSizeGreaterThanOrEqualTo(5);
      return names.stream().sorted();
    }
  }

  private static CommandLineRun train(String example, List<String> more) {
    var all = new ArrayList<>(List.of("train", "--config", EXAMPLES.resolve(example).toString()));
    all.addAll(small(example));
    all.addAll(more);
    return CommandLineRun.of(all.toArray(String[]::new));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("examples")
  void a_configuration_says_what_it_would_train(String example) {
    var run = train(example, List.of("--dry-run"));
    assertIsSound(run);
    assertThat(run.out().lines().map(line -> line.split(" ", 2)[0]).filter(w -> !w.equals("note")))
        .containsExactly("data", "model", "parameters", "memory", "step", "length");
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("examples")
  void a_configuration_without_its_data_or_device_is_refused_in_one_line(String example) {
    if (!List.of("tinystories.yaml", "large-165m.yaml", "series.yaml").contains(example)) {
      return; // the others need nothing, and what they say is looked at above
    }
    var run = // from another folder than the repository's root nothing is where they look
        CommandLineRun.of("train", "--config", EXAMPLES.resolve(example).toString(), "--dry-run");
    assertThat(run.code()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err().lines()).hasSize(1);
    assertThat(run.err())
        .startsWith("xlstm: ")
        .containsAnyOf(
            "corpus tinystories: no such file or folder; give wordnet",
            "device cuda is not available; use cpu",
            "examples/ausbeer.csv: no such file");
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("examples")
  void a_configuration_trains_two_small_steps(String example) throws IOException {
    var tiny =
        new ArrayList<>(
            List.of(
                "--out",
                folder.resolve("run").toString(),
                "--steps",
                "2",
                "training.epochs=0",
                "training.batch_size=4",
                "training.gradient_accumulation_steps=2",
                "model.num_blocks=2",
                "model.embedding_dim=32",
                "validation.tokens=256",
                "logging.every=1"));
    if (example.equals("parity.yaml")) {
      tiny.add("data.num_validation_examples=8");
    }
    var run = train(example, tiny);
    assertIsSound(run);
    assertThat(run.out()).contains("step 0: validation loss ", "done after step 2");
    assertThat(Files.readAllLines(folder.resolve("run/metrics.csv"))).hasSize(1 + 3);
  }

  // ---- programs

  /// Runs a program from its source, as its comment says.
  private String java(List<String> classPath, String program, String... arguments)
      throws IOException, InterruptedException {
    var command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules",
                "jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                String.join(File.pathSeparator, classPath),
                EXAMPLES.resolve(program).toString()));
    command.addAll(Arrays.asList(arguments));
    Path out = folder.resolve("out");
    Path err = folder.resolve("err");
    int code =
        new ProcessBuilder(command)
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start()
            .waitFor();
    assertThat(code).as(Files.readString(err)).isZero();
    return Files.readString(out);
  }

  @Test
  void stream_completion_continues_a_prompt_and_fine_tune_trains_the_model_further()
      throws Exception {
    Path model = folder.resolve("model");
    assertIsSound(
        CommandLineRun.of(
            "train",
            "--data",
            corpus.toString(),
            "--out",
            model.toString(),
            "--steps",
            "1",
            "data.tokenizer=bytes",
            "model.num_blocks=1",
            "model.slstm_at=[]",
            "model.embedding_dim=32",
            "validation.tokens=64",
            "samples.max_tokens=1"));
    String text =
        java(
            List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)),
            "StreamCompletion.java",
            model.toString(),
            "One day");
    assertThat(text).startsWith("One day");

    Path novel = folder.resolve("novel.txt");
    Files.writeString(novel, "A dog met a cat. They ran to the sea.\n".repeat(200));
    String said =
        java(
            List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)),
            "FineTune.java",
            model.toString(),
            novel.toString(),
            folder.resolve("tuned").toString(),
            "A dog",
            "2");
    assertThat(said).contains("loss after 2 steps").contains("\nA dog");
    assertThat(Files.exists(folder.resolve("tuned").resolve("model.safetensors"))).isTrue();
  }

  @Test
  void forecast_csv_prints_the_two_years_that_follow() throws Exception {
    String said =
        java(
            List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)),
            "ForecastCsv.java",
            EXAMPLES.resolve("ausbeer.csv").toString(),
            folder.resolve("beer").toString(),
            "20");
    assertThat(said.lines()).hasSize(9).first().isEqualTo("time, 0.1, 0.5, 0.9");
  }

  @Test
  void every_program_is_short_and_says_first_how_to_run_it() throws Exception {
    try (Stream<Path> files = Files.list(EXAMPLES)) {
      List<Path> programs =
          files
              .filter(file -> file.toString().endsWith(".java"))
              .filter(file -> !file.endsWith("ExtractSeries.java"))
              .toList();
      assertThat(programs).hasSize(5);
      for (Path program : programs) {
        List<String> lines = Files.readAllLines(program);
        assertThat(lines).as(program.toString()).hasSizeLessThan(60);
        assertThat(lines.stream().takeWhile(line -> line.startsWith("//")))
            .as(program.toString())
            .hasSizeGreaterThanOrEqualTo(3)
            .anyMatch(line -> line.contains("examples/" + program.getFileName()));
      }
    }
  }

  @Test
  void classify_sequences_learns_to_tell_them_apart() throws Exception {
    String said =
        java(
            List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)),
            "ClassifySequences.java");
    assertThat(losses(said)).hasSize(3).last().satisfies(loss -> assertThat(loss).isLessThan(0.3));
  }

  /// The losses of lines such as `step 50: loss 0.1234`.
  private static List<Double> losses(String said) {
    return said.lines()
        .map(line -> Double.parseDouble(line.substring(line.indexOf("loss ") + 5)))
        .toList();
  }

  @Test
  void the_readme_shows_a_program_whose_loss_falls() throws Exception {
    Path program = EXAMPLES.resolve("Sine.java");
    String readme = Files.readString(EXAMPLES.resolveSibling("README.md"));
    assertThat(readme).contains("```java\n" + Files.readString(program) + "```\n");
    assertThat(readme.split("```java", -1)).hasSize(2); // and no other
    String said =
        java(
            List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)),
            "Sine.java");
    List<Double> losses = losses(said);
    assertThat(losses).hasSize(3);
    assertThat(losses.getLast()).isLessThan(0.1 * losses.getFirst());
  }

  /// The library that the program reads is not a dependency of ours: here a stand-in has its name
  /// and the numbers of our file.
  @Test
  void extract_series_writes_the_file_of_the_example() throws Exception {
    List<String> lines = Files.readAllLines(EXAMPLES.resolve("ausbeer.csv"));
    List<String> numbers =
        lines.stream().skip(1).map(line -> line.substring(line.indexOf(',') + 1)).toList();
    Path source = folder.resolve("TestData.java");
    Files.writeString(
        source,
        """
        package com.github.signaflo.timeseries;
        public class TestData {
          public static final TestData ausbeer = new TestData();
          public double[] asArray() { return new double[] {%s}; }
        }
        """
            .formatted(String.join(", ", numbers)));
    Path classes = Files.createDirectory(folder.resolve("classes"));
    int code =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-d", classes.toString(), source.toString());
    assertThat(code).isZero();
    Path written = folder.resolve("written.csv");
    java(List.of(classes.toString()), "ExtractSeries.java", written.toString());
    assertThat(Files.readAllLines(written)).isEqualTo(lines);
  }
}
