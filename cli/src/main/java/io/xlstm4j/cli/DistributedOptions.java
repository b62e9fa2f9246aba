package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.parallel.LocalRanks;
import io.xlstm4j.train.parallel.Rendezvous;
import java.io.PrintWriter;
import java.lang.ProcessBuilder.Redirect;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// Options that start several processes of the same command, which train one model together.
final class DistributedOptions {
  private static final List<String> NAMES =
      List.of("--nproc", "--nnodes", "--node-rank", "--rendezvous", "--rank-timeout");

  @Option(names = "--nproc", paramLabel = "N", description = "processes on this machine; default 1")
  private int processes = 1;

  @Option(names = "--nnodes", paramLabel = "N", description = "machines; default 1")
  private int nodes = 1;

  @Option(names = "--node-rank", paramLabel = "R", description = "which of them this is, from 0")
  private int nodeRank;

  @Option(
      names = "--rendezvous",
      paramLabel = "HOST:PORT",
      description = "where machine 0 can be reached")
  private @Nullable String rendezvous;

  @Option(
      names = "--rank-timeout",
      paramLabel = "SECONDS",
      description = "how long processes wait for one of them; default ${DEFAULT-VALUE}")
  private long timeoutSeconds = Rendezvous.DEFAULT_TIMEOUT.toSeconds();

  /// Checks the numbers, whether others are started or not.
  ///
  /// @throws ParameterException that names the option and its value
  void check(CommandSpec spec) {
    atLeastOne(spec, "--nproc", processes);
    atLeastOne(spec, "--nnodes", nodes);
    atLeastOne(spec, "--rank-timeout", timeoutSeconds);
    if (nodeRank < 0 || nodeRank >= nodes) {
      throw new ParameterException(
          spec.commandLine(),
          "--node-rank (%d) must be from 0 to %d, one less than --nnodes"
              .formatted(nodeRank, nodes - 1));
    }
  }

  private static void atLeastOne(CommandSpec spec, String option, long value) {
    if (value < 1) {
      throw new ParameterException(
          spec.commandLine(), "%s (%d) must be at least 1".formatted(option, value));
    }
  }

  /// Checks that every process of this machine has a GPU of its own.
  ///
  /// @param device of the run
  /// @param gpus how many this machine has, asked for only if it matters
  /// @throws InvalidInputException that names both numbers
  void checkGpus(String device, IntSupplier gpus) {
    if (processes == 1 || !device.startsWith("cuda")) {
      return;
    }
    if (!device.equals("cuda")) {
      throw new InvalidInputException(
          "--nproc (%d) needs a GPU for each process, but device %s is one; use cuda"
              .formatted(processes, device));
    }
    int present = gpus.getAsInt();
    if (processes > present) {
      throw new InvalidInputException(
          "--nproc (%d) is more than the GPUs of this machine (%d); each process needs its own"
              .formatted(processes, present));
    }
  }

  /// Returns whether this process is to start others, and not to train itself.
  boolean startsProcesses() {
    return processes > 1 || nodes > 1;
  }

  /// Starts the processes and waits for them.
  ///
  /// @return the exit code of the first that failed, else 0
  int run(CommandSpec spec) {
    var plan =
        new LocalRanks.Plan(
            processes, nodes, nodeRank, rendezvous, Duration.ofSeconds(timeoutSeconds));
    // the whole line, the command's own name included
    List<String> line = spec.root().commandLine().getParseResult().originalArgs();
    var ranks = new LocalRanks(plan, Main.class, without(line));
    PrintWriter err = spec.commandLine().getErr();
    try (var interrupt = new Interrupt(err, Terminal.isInteractive(), false)) {
      interrupt.begin(ranks::stop, ranks::kill);
      return ranks.run(Redirect.INHERIT, Terminal.errors());
    }
  }

  /// The line without the options of this class.
  private static List<String> without(List<String> arguments) {
    var kept = new ArrayList<String>();
    for (int i = 0; i < arguments.size(); i++) {
      String argument = arguments.get(i);
      if (NAMES.contains(argument)) {
        i++; // its value
      } else if (NAMES.stream().noneMatch(name -> argument.startsWith(name + "="))) {
        kept.add(argument);
      }
    }
    return kept;
  }
}
