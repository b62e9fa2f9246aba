package io.xlstm4j.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.core.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class DistributedOptionsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--nproc=0|--nproc (0) must be at least 1",
        "--nproc=-2|--nproc (-2) must be at least 1",
        "--nnodes=0|--nnodes (0) must be at least 1",
        "--rank-timeout=0|--rank-timeout (0) must be at least 1",
        "--node-rank=1|--node-rank (1) must be from 0 to 0, one less than --nnodes",
      })
  void a_number_that_cannot_be_is_wrong_usage(String option, String message) {
    var run = CommandLineRun.of("train", option, "--dry-run");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).startsWith("xlstm: " + message);
  }

  private static DistributedOptions options(String... arguments) {
    var options = new DistributedOptions();
    new CommandLine(options).parseArgs(arguments);
    return options;
  }

  @Test
  void more_processes_than_gpus_are_refused_with_both_numbers() {
    DistributedOptions four = options("--nproc=4");
    assertThatThrownBy(() -> four.checkGpus("cuda", () -> 2))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageContainingAll("--nproc (4)", "GPUs of this machine (2)");
    assertThatThrownBy(() -> four.checkGpus("cuda:1", () -> 8))
        .hasMessageContainingAll("--nproc (4)", "device cuda:1 is one");
    assertThatCode(() -> four.checkGpus("cuda", () -> 4)).doesNotThrowAnyException();
    assertThatCode(() -> four.checkGpus("cpu", () -> 0)).doesNotThrowAnyException();
    assertThatCode(() -> options().checkGpus("cuda:1", () -> 2)).doesNotThrowAnyException();
  }

  @Test
  void a_run_on_gpus_that_are_not_there_starts_no_process() {
    var run = CommandLineRun.of("train", "--nproc", "2", "device=cuda");
    assertThat(run.code()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err())
        .isEqualToIgnoringNewLines(
            "xlstm: --nproc (2) is more than the GPUs of this machine (0); each process needs its own");
  }
}
