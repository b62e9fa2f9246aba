package io.xlstm4j.train.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Real processes on this machine.
class ProcessGroupTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(6);

  @TempDir private Path folder;

  private static LocalRanks.Plan plan(int ranks) {
    return new LocalRanks.Plan(ranks, 1, 0, null, TIMEOUT);
  }

  /// The output of a run, in lines.
  private record Outcome(int code, List<String> out, List<String> err) {}

  private Outcome run(LocalRanks.Plan plan, String... words) throws IOException {
    var err = new ByteArrayOutputStream();
    Path out = folder.resolve("out");
    int code =
        new LocalRanks(plan, RankProgram.class, List.of(words)).run(Redirect.to(out.toFile()), err);
    return new Outcome(
        code, Files.readAllLines(out), ours(err.toString(StandardCharsets.UTF_8).lines().toList()));
  }

  private static List<String> ours(List<String> lines) {
    return lines.stream().filter(line -> line.contains("xlstm: ")).toList();
  }

  @Test
  void two_ranks_with_half_a_batch_each_learn_what_one_learns_from_the_whole() throws IOException {
    Outcome outcome = run(plan(2), "train", folder.resolve("weights").toString());
    assertThat(outcome).isEqualTo(new Outcome(0, List.of(), List.of()));
    float[] alone =
        RankProgram.train(
            new SingleProcess(),
            PaperModelConfig.of(11, BlockStackConfig.of(2, 32, List.of(1))),
            4,
            8,
            50,
            false);
    byte[] first = Files.readAllBytes(folder.resolve("weights0"));
    assertThat(Files.readAllBytes(folder.resolve("weights1"))).isEqualTo(first);
    var together = ByteBuffer.wrap(first).asFloatBuffer();
    assertThat(together.remaining()).isEqualTo(alone.length);
    for (float weight : alone) {
      assertThat(together.get()).isCloseTo(weight, within(1e-6f));
    }
  }

  @ParameterizedTest(name = "{0} of rank {2} in {1}")
  @CsvSource({
    "KILL, forward, 1",
    "STOP, forward, 1",
    "KILL, all-reduce, 1",
    "STOP, all-reduce, 1",
    "KILL, checkpoint, 0",
    "STOP, checkpoint, 0",
    "KILL, checkpoint, 1"
  })
  void a_rank_that_dies_or_hangs_ends_all_with_one_line(String signal, String phase, int victim)
      throws Exception {
    List<Process> ranks = start(plan(3), "phases", phase, Integer.toString(victim));
    try {
      for (Process rank : ranks) {
        assertThat(rank.inputReader().readLine()).isEqualTo("ready");
      }
      Thread.sleep(150); // somewhere in that phase
      long began = System.nanoTime();
      new ProcessBuilder("kill", "-" + signal, Long.toString(ranks.get(victim).pid()))
          .inheritIO()
          .start()
          .waitFor();
      String cause =
          signal.equals("KILL")
              ? FailureMessages.ended(victim, 3)
              : FailureMessages.silent(victim, 3);
      for (int rank = 0; rank < 3; rank++) {
        if (rank != victim) {
          Process survivor = ranks.get(rank);
          assertThat(survivor.waitFor(5, TimeUnit.MINUTES)).as("rank %d ends", rank).isTrue();
          assertThat(ours(survivor.errorReader().lines().toList()))
              .as("rank %d, after %d ms", rank, (System.nanoTime() - began) / 1_000_000)
              .containsExactly("xlstm: " + cause);
          assertThat(survivor.exitValue()).isEqualTo(1);
        }
      }
    } finally {
      ranks.forEach(Process::destroyForcibly);
    }
  }

  private static List<Process> start(LocalRanks.Plan plan, String... words) throws IOException {
    var processes = new ArrayList<Process>();
    for (Rendezvous rank : plan.ranks()) {
      var builder =
          new ProcessBuilder(new LocalRanks(plan, RankProgram.class, List.of(words)).command());
      builder.environment().putAll(rank.environment());
      builder.environment().put("OMP_NUM_THREADS", "1");
      processes.add(builder.start());
    }
    return processes;
  }

  @Test
  void ranks_that_disagree_are_refused_on_both_sides() throws Exception {
    List<Process> ranks = start(plan(2), "agree", "1", "2");
    for (Process rank : ranks) {
      assertThat(ours(rank.errorReader().lines().toList()))
          .containsExactly(
              "xlstm: seed differs: rank 0 has 1, rank 1 has 2; give all ranks the same");
      assertThat(rank.waitFor()).isEqualTo(1);
    }
  }

  @Test
  void an_error_of_one_rank_is_told_once_and_is_the_exit_code() throws IOException {
    Outcome outcome = run(plan(2), "wrong");
    assertThat(outcome.code()).isEqualTo(1);
    assertThat(outcome.err())
        .containsExactlyInAnyOrder(
            "xlstm: rank 1 of 2: the disk is full", "rank 1: xlstm: the disk is full");
  }

  @ParameterizedTest(name = "rank {0}")
  @ValueSource(ints = {0, 1})
  void a_killed_rank_gives_its_exit_code_is_named_and_leaves_nobody(int victim) throws Exception {
    Path out = folder.resolve("out");
    Path asleep = folder.resolve("asleep" + victim);
    var err = new ByteArrayOutputStream();
    var ranks =
        new LocalRanks(
            plan(2), RankProgram.class, List.of("sleep", folder.resolve("asleep").toString()));
    Thread killer =
        DaemonThreads.start(
            "killer",
            () -> {
              try {
                while (!Files.exists(asleep) || Files.readString(asleep).isEmpty()) {
                  DaemonThreads.sleep(50);
                }
                long pid = Long.parseLong(Files.readString(asleep));
                ProcessHandle.of(pid).orElseThrow().destroyForcibly();
              } catch (IOException e) {
                throw new IllegalStateException(e);
              }
            });
    int code = ranks.run(Redirect.to(out.toFile()), err);
    killer.join();
    assertThat(code).isEqualTo(128 + 9);
    assertThat(err.toString(StandardCharsets.UTF_8))
        .contains("rank " + victim + " was ended by signal 9");
    assertThat(ProcessHandle.current().children().filter(ProcessHandle::isAlive)).isEmpty();
  }

  @Test
  void a_port_in_use_is_one_line() throws IOException {
    try (var socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      int port = socket.getLocalPort();
      var rendezvous = new Rendezvous("127.0.0.1", port, 0, 2, 0, TIMEOUT);
      assertThatThrownBy(() -> ProcessGroup.join(rendezvous))
          .isInstanceOf(InvalidInputException.class)
          .hasMessage(
              "port %d is in use on this machine; choose another for the rendezvous (MASTER_PORT or --rendezvous)"
                  .formatted(port));
    }
  }

  @Test
  void a_rank_that_does_not_come_is_named() {
    var first = LocalRanks.Plan.here(2).ranks().getFirst();
    var lonely = new Rendezvous(first.host(), first.port(), 0, 2, 0, Duration.ofSeconds(1));
    assertThatThrownBy(() -> ProcessGroup.join(lonely))
        .isInstanceOf(RankFailedException.class)
        .hasMessageStartingWith("after 1 s these of 2 ranks have not come to")
        .hasMessageEndingWith(": 1");
  }

  @Test
  void a_rank_zero_that_is_not_there_is_told() {
    var first = LocalRanks.Plan.here(2).ranks().getFirst();
    var lonely = new Rendezvous(first.host(), first.port(), 1, 2, 0, Duration.ofSeconds(1));
    assertThatThrownBy(() -> ProcessGroup.join(lonely))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContaining("rank 0 was not there within 1 s");
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "7, 3", "8, 2", "16, 5", "5, 5"})
  void shares_cover_all_rows_without_overlap(int rows, int size) {
    int next = 0;
    for (int rank = 0; rank < size; rank++) {
      Shard share = Shard.of(rows, rank, size);
      assertThat(share.from()).isEqualTo(next);
      assertThat(share.sequences()).isBetween(rows / size, rows / size + 1);
      next = share.to();
    }
    assertThat(next).isEqualTo(rows);
  }

  @Test
  void fewer_sequences_than_ranks_are_refused() {
    assertThatThrownBy(() -> Shard.of(3, 0, 4))
        .hasMessage(
            "a batch of 3 sequences cannot be split over 4 ranks; use at least one sequence for each rank");
  }

  @Test
  void an_environment_without_ranks_is_a_process_alone() {
    try (ProcessGroup world = ProcessGroup.of(Map.of("MASTER_PORT", "1"))) {
      assertThat(world).isInstanceOf(SingleProcess.class);
      assertThat(world.sum(2.5)).isEqualTo(2.5);
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a | MASTER_PORT: not set",
        "RANK=0 | MASTER_ADDR, MASTER_PORT, WORLD_SIZE: not set",
        "RANK=2 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1 | RANK (2) must be from 0 to 1",
        "RANK=x WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1 | RANK=x is not a whole number",
        "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=99999 | MASTER_PORT (99999) must be",
        "RANK=0 WORLD_SIZE=0 MASTER_ADDR=a MASTER_PORT=1 | WORLD_SIZE (0) must be",
        "RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=1 XLSTM_RANK_TIMEOUT=0 | XLSTM_RANK_TIMEOUT"
      })
  void a_wrong_environment_is_one_line_that_names_the_variable(String variables, String message) {
    var environment = new HashMap<String, String>();
    for (String variable : variables.split(" ", -1)) {
      int sign = variable.indexOf('=');
      environment.put(variable.substring(0, sign), variable.substring(sign + 1));
    }
    assertThatThrownBy(() -> ProcessGroup.of(environment))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(message)
        .hasMessageNotContaining("\n");
  }
}
