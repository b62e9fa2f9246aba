package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.RunConfigFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// A resume from a folder in which something went wrong: refused with one line that names the file,
/// and nothing changed; or put in order.
class DamagedStateTest {
  private static final List<String> FILES =
      List.of(
          "model.safetensors",
          "optimizer.safetensors",
          "average.safetensors",
          "carried.safetensors",
          "config.json",
          "tokenizer.json",
          "state.json",
          "run.yaml",
          "manifest.json");

  @TempDir private static Path shared;
  private static Path whole;

  @TempDir private Path folder;
  private Path run;
  private Path training;

  @BeforeAll
  static void train_a_run_with_every_file_that_a_state_may_have() throws IOException {
    var config =
        TinyRun.config(
            TinyRun.corpus(shared),
            "data.tokenizer=bpe",
            "data.vocab_size=280",
            "optimizer.ema_decay=0.9",
            "training.truncated_bptt=true");
    whole = shared.resolve("whole");
    try (var trainer = Trainer.start(config, whole)) {
      trainer.run(() -> trainer.view().state().step() == 4);
    }
    try (Stream<Path> files = Files.list(whole.resolve("training"))) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrderElementsOf(FILES);
    }
  }

  @BeforeEach
  void copy_it() throws IOException {
    run = folder.resolve("run");
    copy(whole, run);
    training = run.resolve("training");
  }

  private static void copy(Path from, Path to) throws IOException {
    try (Stream<Path> all = Files.walk(from)) {
      for (Path path : all.toList()) {
        Files.copy(path, to.resolve(from.relativize(path).toString()));
      }
    }
  }

  private static Map<Path, Integer> contents(Path folder) throws IOException {
    var contents = new HashMap<Path, Integer>();
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path path : all.filter(Files::isRegularFile).toList()) {
        contents.put(folder.relativize(path), Arrays.hashCode(Files.readAllBytes(path)));
      }
    }
    return contents;
  }

  @ParameterizedTest
  @ValueSource(strings = {"model.safetensors", "tokenizer.json", "manifest.json"})
  void a_damaged_best_model_is_found_before_a_step_is_done(String name) throws IOException {
    Files.write(run.resolve(name), new byte[0]);
    Map<Path, Integer> before = contents(run);

    assertThatThrownBy(this::resume)
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(run.resolve(name).toString())
        .hasMessageEndingWith(
            "put it back as it was, or start anew from the last state with --from " + training);

    assertThat(contents(run)).isEqualTo(before);
  }

  private Trainer resume() {
    return Trainer.resume(run, RunConfigFile.parse("", "test"));
  }

  private void assertIsRefused(String file) throws IOException {
    Map<Path, Integer> before = contents(run);
    assertThatThrownBy(this::resume)
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining(file)
        .message()
        .hasLineCount(1);
    assertThat(contents(run)).isEqualTo(before);
  }

  private void assertGoesOn() {
    try (var trainer = resume()) {
      assertThat(trainer.view().state().step()).isEqualTo(4);
      assertThat(trainer.run(() -> false).steps()).isEqualTo(6);
    }
  }

  static Stream<List<String>> damages() {
    return FILES.stream()
        .flatMap(
            file -> Stream.of("empty", "cut", "spoilt", "missing").map(how -> List.of(file, how)));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("damages")
  void a_damaged_file_is_named_and_nothing_is_lost(List<String> damage) throws IOException {
    String name = damage.getFirst();
    Path file = training.resolve(name);
    byte[] bytes = Files.readAllBytes(file);
    switch (damage.getLast()) {
      case "empty" -> Files.write(file, new byte[0]);
      case "cut" -> Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
      case "spoilt" -> {
        byte[] other = bytes.clone();
        other[other.length / 2] ^= 4;
        Files.write(file, other);
      }
      default -> Files.delete(file);
    }
    assertIsRefused(name);
    Files.write(file, bytes);
    try (var trainer = resume()) {
      assertThat(trainer.view().state().step()).isEqualTo(4);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {".training.new", ".training.old", ".update", "training/.manifest.json.tmp"})
  void what_a_crash_left_unfinished_does_not_matter(String name) throws IOException {
    Path stray = run.resolve(name);
    if (name.endsWith(".tmp")) {
      Files.writeString(stray, "{");
    } else {
      Files.createDirectory(stray);
      Files.write(stray.resolve("model.safetensors"), new byte[100]);
    }
    assertGoesOn();
  }

  @Test
  void a_complete_newer_state_takes_the_place_of_the_last() throws IOException {
    Path newer = folder.resolve("newer");
    copy(whole, newer);
    try (var trainer = Trainer.resume(newer, RunConfigFile.parse("", "test"))) {
      trainer.run(() -> trainer.view().state().step() == 5);
    }
    copy(newer.resolve("training"), run.resolve(".training.new"));
    try (var trainer = resume()) {
      assertThat(trainer.view().state().step()).isEqualTo(5);
    }
    assertThat(run.resolve(".training.new")).doesNotExist();
  }

  @Test
  void foreign_files_beside_and_in_a_state_stay_until_the_next_one() throws IOException {
    Files.writeString(run.resolve("notes.txt"), "mine");
    Files.writeString(training.resolve("notes.txt"), "mine");
    assertGoesOn();
    assertThat(run.resolve("notes.txt")).hasContent("mine");
  }

  @Test
  void a_state_that_is_gone_is_said_to_be_so_and_the_best_model_stays() throws IOException {
    try (Stream<Path> files = Files.list(training)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Map<Path, Integer> before = contents(run);
    assertThatThrownBy(this::resume).hasMessageContaining("training").message().hasLineCount(1);
    assertThat(contents(run)).isEqualTo(before);
  }
}
