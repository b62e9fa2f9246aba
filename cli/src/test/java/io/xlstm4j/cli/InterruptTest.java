package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.checkpoint.CheckpointFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The behaviour of a training program when it is asked to end, by SIGTERM: Ctrl-C goes the same
/// way, but is ignored in tests that a script starts in the background.
@DisabledOnOs(OS.WINDOWS) // signals
class InterruptTest {
  private static final String ANSWER = "stopping after this step; again to stop now";
  private static final int TERMINATED = 128 + 15;

  @TempDir private Path folder;

  private RunningProgram start(String data, String... more) throws IOException {
    var arguments =
        new ArrayList<>(
            List.of(
                "train",
                "--out",
                folder.resolve("runs/mine").toString(),
                "--data",
                folder.resolve(data).toString(),
                "model.num_blocks=1",
                "model.slstm_at=[]",
                "model.embedding_dim=32",
                "model.context_length=64",
                "validation.tokens=64",
                "samples.max_tokens=2"));
    arguments.addAll(List.of(more));
    return RunningProgram.start(folder, arguments.toArray(String[]::new));
  }

  /// A run whose steps take many seconds.
  private RunningProgram startSlow(String... more) throws IOException {
    Files.writeString(folder.resolve("tiny.txt"), "one two three\n<|endoftext|>\n".repeat(400));
    var keys =
        new ArrayList<>(
            List.of(
                "data.tokenizer=bytes",
                "training.batch_size=4000",
                "training.gradient_accumulation_steps=4000"));
    keys.addAll(List.of(more));
    return start("tiny.txt", keys.toArray(String[]::new));
  }

  private Path state() {
    return folder.resolve("runs/mine/training/state.json");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2})
  void the_first_signal_is_answered_at_once_and_the_second_ends_the_program_with_its_state_intact(
      int processes) throws Exception {
    try (var program = startSlow("--nproc", "" + processes)) {
      program.await("state", () -> Files.exists(state()));
      List<ProcessHandle> ranks = program.process().descendants().toList();
      program.process().destroy();
      program.awaitLine(program.err(), ANSWER);
      assertThat(program.process().waitFor(1, TimeUnit.SECONDS)).isFalse(); // the step goes on

      program.process().destroy();
      assertThat(program.process().waitFor(5, TimeUnit.SECONDS)).isTrue();
      assertThat(program.process().exitValue()).isEqualTo(TERMINATED);
      for (ProcessHandle rank : ranks) {
        rank.onExit().get(5, TimeUnit.SECONDS);
      }
      assertThat(program.complaints())
          .containsExactly(ANSWER, "stopped; the last saved state stays");
    }
    CheckpointFolder.verify(folder.resolve("runs/mine/training"));
  }

  @Test
  void before_training_began_one_signal_ends_the_program_and_leaves_no_folder() throws Exception {
    var random = new Random(1);
    var text = new StringBuilder();
    for (int i = 0; i < 1_500_000; i++) {
      text.append(Integer.toString(random.nextInt(40_000), 36));
      text.append(i % 50 == 0 ? "\n<|endoftext|>\n" : " ");
    }
    Files.writeString(folder.resolve("large.txt"), text);
    try (var program = start("large.txt", "data.vocab_size=60000")) {
      program.awaitLine(program.out(), "...");
      program.process().destroy();
      assertThat(program.process().waitFor(5, TimeUnit.SECONDS)).isTrue();
      assertThat(program.process().exitValue()).isEqualTo(TERMINATED);
      assertThat(program.complaints()).containsExactly("stopped before training began");
    }
    assertThat(folder.resolve("runs")).doesNotExist();
  }

  @Test
  void a_run_that_lives_is_neither_resumed_nor_begun_a_second_time() throws Exception {
    String run = folder.resolve("runs/mine").toString();
    try (var program = startSlow()) {
      program.await("state", () -> Files.exists(state()));
      String refusal =
          "process %d trains here; wait for its end or stop it, or choose another --out"
              .formatted(program.process().pid());
      byte[] before = Files.readAllBytes(state());
      for (List<String> more :
          List.of(
              List.of("--resume"),
              List.of("--resume", "--from-step", "0"),
              List.of("--data", folder.resolve("tiny.txt").toString()))) {
        var arguments = new ArrayList<>(List.of("train", "--out", run));
        arguments.addAll(more);
        var second = CommandLineRun.of(arguments.toArray(String[]::new));
        assertThat(second.code()).as("%s", more).isEqualTo(1);
        assertThat(second.err()).isEqualTo("xlstm: " + run + ": " + refusal + "\n");
      }
      assertThat(program.process().isAlive()).isTrue();
      assertThat(state()).hasBinaryContent(before);
      program.process().destroyForcibly().waitFor();
    }
    // the lock of a process that was killed is stale, so the refusal is another one
    var stale = CommandLineRun.of("train", "--out", run, "--resume", "model.num_blocks=9");
    assertThat(stale.err()).contains("model.num_blocks was 1 in this run");
  }

  @Test
  void of_two_programs_that_begin_one_run_at_once_one_trains_and_one_is_refused() throws Exception {
    Files.writeString(folder.resolve("tiny.txt"), "one two three\n<|endoftext|>\n".repeat(400));
    String[] keys = {
      "data.tokenizer=bytes", "training.batch_size=4", "training.steps=300", "validation.every=300"
    };
    try (var first = start("tiny.txt", keys);
        var second = start("tiny.txt", keys)) {
      assertThat(List.of(first.end(), second.end())).containsExactlyInAnyOrder(0, 1);
      var refused = first.end() == 1 ? first : second;
      var trained = first.end() == 1 ? second : first;
      assertThat(refused.complaints())
          .singleElement()
          .asString()
          .containsPattern( // the number is not there yet in the first moment
              "process %d trains here|another process trains here|not empty"
                  .formatted(trained.process().pid()));
    }
    CheckpointFolder.verify(folder.resolve("runs/mine"));
  }
}
