package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.train.parallel.LocalRanks;
import io.xlstm4j.train.parallel.Rendezvous;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Kills runs at random moments, as `kill -9` does, and goes on with them until they end.
///
/// `-Dxlstm.kills=50 -Dxlstm.rank.kills=20` make it long; docs/reliability.md tells of such runs.
class KillLoopTest {
  private static final int KILLS = Integer.getInteger("xlstm.kills", 3);
  private static final int RANK_KILLS = Integer.getInteger("xlstm.rank.kills", 1);
  private static final long SEED = Long.getLong("xlstm.seed", 1);

  @TempDir private Path folder;

  @Test
  void a_run_killed_at_any_moment_ends_with_the_bytes_of_one_that_never_was() throws Exception {
    check(1, KILLS);
  }

  @Test
  void two_processes_killed_together_end_with_the_bytes_of_two_that_never_were() throws Exception {
    check(2, RANK_KILLS);
  }

  private void check(int ranks, int kills) throws Exception {
    Path corpus = TinyRun.corpus(folder);
    int steps = 40 + 40 * kills; // more than a process gets done between kills
    Path whole = folder.resolve("whole");
    for (Process process : start(ranks, whole, corpus, steps)) {
      assertThat(process.waitFor()).isZero();
    }
    Path killed = folder.resolve("killed");
    var random = new Random(SEED);
    int done = 0;
    boolean ended = false;
    while (!ended) {
      List<Process> processes = start(ranks, killed, corpus, steps);
      if (done < kills) {
        waitUntilAlive(killed, processes.getFirst());
        ended = sleepsThrough(processes.getFirst(), random.nextInt(1500));
        processes.forEach(Process::destroyForcibly);
        done++;
      }
      for (Process process : processes) {
        int code = process.waitFor();
        if (done >= kills && !ended && process.equals(processes.getLast())) {
          ended = code == 0;
        }
      }
    }
    assertThat(done).isEqualTo(kills);
    for (String file :
        List.of(
            "model.safetensors",
            "training/model.safetensors",
            "training/optimizer.safetensors",
            "training/average.safetensors",
            "samples.md")) {
      assertThat(killed.resolve(file)).hasSameBinaryContentAs(whole.resolve(file));
    }
    assertThat(losses(killed)).isEqualTo(losses(whole));
  }

  /// The moments worth hitting begin when the run writes: until then Java and libtorch load.
  private static void waitUntilAlive(Path run, Process process) throws InterruptedException {
    Path status = run.resolve("status.json");
    long before = modified(status);
    while (process.isAlive() && modified(status) == before) {
      Thread.sleep(20);
    }
  }

  private static long modified(Path file) {
    try {
      return Files.exists(file) ? Files.getLastModifiedTime(file).toMillis() : 0;
    } catch (IOException e) {
      return 0; // replaced just now
    }
  }

  /// Returns whether the process ended by itself within that time.
  private static boolean sleepsThrough(Process process, int milliseconds)
      throws InterruptedException {
    return process.waitFor(milliseconds, TimeUnit.MILLISECONDS);
  }

  private static List<Process> start(int ranks, Path run, Path corpus, int steps)
      throws IOException {
    var arguments = List.of(run.toString(), corpus.toString(), Integer.toString(steps));
    var plan = LocalRanks.Plan.here(ranks);
    List<String> command = new LocalRanks(plan, KilledRun.class, arguments).command();
    var processes = new ArrayList<Process>();
    for (Rendezvous rank : plan.ranks()) {
      var builder = new ProcessBuilder(command).inheritIO();
      if (ranks > 1) {
        builder.environment().putAll(rank.environment());
      }
      processes.add(builder.start());
    }
    return processes;
  }

  private static List<String> losses(Path run) throws IOException {
    return Files.readAllLines(run.resolve("metrics.csv")).stream()
        .map(line -> line.split(",", -1))
        .map(cells -> cells[0] + " " + cells[1] + " " + cells[7])
        .toList();
  }
}
