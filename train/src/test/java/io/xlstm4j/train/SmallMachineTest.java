package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.train.parallel.LocalRanks;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// The same run on one core with a heap of 256 MB, and with three threads: the same bits.
class SmallMachineTest {
  @TempDir private Path folder;

  @Test
  void one_core_and_a_small_heap_train_to_the_bits_of_three_threads() throws Exception {
    Path corpus = TinyRun.corpus(folder);
    Path small = folder.resolve("small");
    Path large = folder.resolve("large");
    List<Process> processes =
        List.of(
            start(small, corpus, "-XX:ActiveProcessorCount=1", "-Dxlstm4j.threads=1", "-Xmx256m"),
            start(large, corpus, "-XX:ActiveProcessorCount=3", "-Dxlstm4j.threads=3"));
    try {
      for (Process process : processes) {
        assertThat(process.waitFor(150, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isZero();
      }
    } finally {
      processes.forEach(Process::destroyForcibly);
    }
    for (String file :
        List.of("model", "training/model", "training/optimizer", "training/average")) {
      assertThat(small.resolve(file + ".safetensors"))
          .hasSameBinaryContentAs(large.resolve(file + ".safetensors"));
    }
    assertThat(Files.readString(small.resolve("samples.md")))
        .isEqualTo(Files.readString(large.resolve("samples.md")));
  }

  /// [KilledRun] to its end; nobody kills it.
  private Process start(Path run, Path corpus, String... flags) throws IOException {
    var arguments = List.of(run.toString(), corpus.toString(), "3");
    List<String> command =
        new ArrayList<>(
            new LocalRanks(LocalRanks.Plan.here(1), KilledRun.class, arguments).command());
    command.addAll(command.indexOf(KilledRun.class.getName()), List.of(flags)); // the last count
    File log = folder.resolve(run.getFileName() + ".log").toFile();
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
  }
}
