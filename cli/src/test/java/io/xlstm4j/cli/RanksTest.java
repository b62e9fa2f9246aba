package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.bench.Processes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// `train --nproc 2` as a user starts it: a process that starts two others.
@DisabledOnOs(OS.WINDOWS) // signals
class RanksTest {
  private static final int MANY = 1_000_000;

  @TempDir private Path folder;

  private Path run;
  private Path out;
  private Path err;

  @BeforeEach
  void name_the_files() throws IOException {
    run = folder.resolve("run");
    out = folder.resolve("out");
    err = folder.resolve("err");
    Files.writeString(folder.resolve("tiny.txt"), "one two three\n<|endoftext|>\n".repeat(60));
  }

  private Process start(int steps, String... more) throws IOException {
    var command = new ArrayList<String>(Processes.java(Main.class, List.of()));
    command.addAll(List.of("train", "--out", run.toString(), "--steps", "" + steps));
    command.addAll(List.of(more));
    var builder = new ProcessBuilder(command);
    builder.environment().put("OMP_NUM_THREADS", "1");
    return builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
  }

  private Process startFresh(int steps) throws IOException {
    return start(
        steps,
        "--nproc",
        "2",
        "--data",
        folder.resolve("tiny.txt").toString(),
        "data.tokenizer=bytes",
        "model.num_blocks=2",
        "model.embedding_dim=32",
        "model.context_length=16",
        "training.batch_size=4",
        "validation.tokens=64",
        "checkpoints.every=5",
        "samples.max_tokens=4");
  }

  private void await(Process launcher, String what, Callable<Boolean> isThere) throws Exception {
    for (int i = 0; i < 6_000 && launcher.isAlive(); i++) {
      if (isThere.call()) {
        return;
      }
      Thread.sleep(50);
    }
    throw new AssertionError("no %s:\n%s".formatted(what, Files.readString(err)));
  }

  private boolean hasStateAfterTheFirst() throws IOException {
    Path state = run.resolve("training/state.json");
    try {
      return Files.readString(state).matches("(?s).*\"step\" : [1-9].*");
    } catch (NoSuchFileException e) {
      return false; // not yet, or just being replaced
    }
  }

  private boolean hasStepThree() throws IOException {
    Path metrics = run.resolve("metrics.csv");
    return Files.exists(metrics) && Files.readAllLines(metrics).size() > 4;
  }

  private static int end(Process launcher) throws InterruptedException {
    assertThat(launcher.waitFor(2, TimeUnit.MINUTES)).isTrue();
    return launcher.exitValue();
  }

  private List<String> complaints() throws IOException {
    return Files.readAllLines(err).stream().filter(line -> line.contains("xlstm: ")).toList();
  }

  @Test
  void a_child_that_is_killed_is_named_and_ends_all_and_the_run_goes_on_alone() throws Exception {
    Process launcher = startFresh(MANY);
    List<ProcessHandle> children = List.of();
    try {
      await(launcher, "a state", this::hasStateAfterTheFirst);
      children = launcher.children().toList();
      assertThat(children).hasSize(2);
      children.getLast().destroyForcibly();
      assertThat(end(launcher)).isEqualTo(128 + 9);
      assertThat(children).noneMatch(ProcessHandle::isAlive);
    } finally {
      children.forEach(ProcessHandle::destroyForcibly);
      launcher.destroyForcibly();
    }
    assertThat(complaints())
        .anySatisfy(line -> assertThat(line).matches("xlstm: rank [01] was ended by signal 9"))
        .doesNotHaveDuplicates();
    assertThat(complaints().size()).isLessThanOrEqualTo(2); // and what the other one saw

    Process alone = start(12, "--resume");
    int code = end(alone);
    assertThat(code).as(Files.readString(err)).isZero();
    assertThat(out)
        .content()
        .contains("trained by 2 processes so far, now by 1")
        .containsPattern("going on after step \\d+");
  }

  @Test
  void a_request_to_stop_saves_once_and_the_run_goes_on_with_two() throws Exception {
    Process launcher = startFresh(MANY);
    try {
      await(launcher, "step 3", this::hasStepThree);
      launcher.destroy(); // SIGTERM
      end(launcher);
    } finally {
      launcher.destroyForcibly();
    }
    assertThat(complaints()).isEmpty();
    List<String> said = Files.readAllLines(out);
    assertThat(said.stream().filter(line -> line.startsWith("stopped after step"))).hasSize(1);
    assertThat(said.stream().filter(line -> line.startsWith("step 0: "))).hasSize(1);

    String stopped = said.get(said.size() - 2).replaceAll("stopped after step (\\d+) .*", "$1");
    int more = Integer.parseInt(stopped) + 2;
    assertThat(end(start(more, "--resume", "--nproc", "2"))).isZero();
    assertThat(out)
        .content()
        .contains("going on after step " + stopped, "done after step " + more)
        .doesNotContain("trained by 2 processes so far");
  }
}
