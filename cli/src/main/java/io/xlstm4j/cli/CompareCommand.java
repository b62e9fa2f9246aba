package io.xlstm4j.cli;

import io.xlstm4j.bench.Comparison;
import io.xlstm4j.bench.Measurement;
import io.xlstm4j.bench.Peers;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `bench compare`: ours and the official Python packages in turn, on this machine.
@Command(
    name = "compare",
    description = "Measure the official Python packages and ours in turn; print the ratios.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "Every measurement runs in a process of its own. A package that is given no",
      "folder must be installed in that Python; what is missing is left out and named.",
      "bench/peers/requirements.txt lists what the packages need."
    })
final class CompareCommand implements Callable<Integer> {
  private static final String EAGER = "";
  private static final String COMPILED = "--compile";

  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "WHAT",
      arity = "0..*",
      description =
          "train-step, cells, seed, gemm, prefill, decode, startup; default the first four")
  private List<String> what = List.of("train-step", "cells", "seed", "gemm");

  @Option(
      names = "--python",
      paramLabel = "FILE",
      defaultValue = "python3",
      description = "the Python to run them with; default ${DEFAULT-VALUE}")
  private Path python;

  @Option(names = "--xlstm", paramLabel = "DIR", description = "checkout of NX-AI/xlstm")
  private @Nullable Path xlstm;

  @Option(
      names = "--mlstm-kernels",
      paramLabel = "DIR",
      description = "checkout of NX-AI/mlstm_kernels")
  private @Nullable Path mlstmKernels;

  @Option(names = "--x-lstm", paramLabel = "DIR", description = "checkout of myscience/x-lstm")
  private @Nullable Path didactic;

  @Option(
      names = "--compile",
      description = "the official models by torch.compile too, for train-step; needs g++")
  private boolean compile;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "2",
      description = "how often each side has its turn; default ${DEFAULT-VALUE}")
  private int rounds;

  @Option(names = "--json", description = "the lines of JSON as they come, before the table")
  private boolean json;

  @Mixin private BenchOptions options = new BenchOptions();

  @Override
  public Integer call() {
    if (rounds < 1) {
      throw new ParameterException(
          spec.commandLine(), "--rounds (" + rounds + ") must be positive");
    }
    BenchCommand.cases(spec, options, what); // so that a mistake shows before an hour is gone
    PrintWriter err = spec.commandLine().getErr();
    var peers = new Peers(python, checkouts(), note -> say(err, note));
    var measurements = new ArrayList<Measurement>();
    for (String benchmark : what) {
      for (int round = 1; round <= rounds; round++) {
        say(err, "%s, round %d of %d: xlstm4j".formatted(benchmark, round, rounds));
        measurements.addAll(printed(FreshProgram.bench(with(benchmark, options.forUs()))));
        for (String mode : modes(benchmark)) {
          say(err, "%s, round %d of %d: peers %s".formatted(benchmark, round, rounds, mode));
          var arguments = new ArrayList<>(with(benchmark, options.forPeers()));
          if (!mode.isEmpty()) {
            arguments.add(mode);
          }
          measurements.addAll(printed(peers.measure(arguments)));
        }
      }
    }
    PrintWriter out = spec.commandLine().getOut();
    out.print(Comparison.of(measurements).toMarkdown());
    out.flush();
    return ExitCode.OK;
  }

  private List<String> modes(String benchmark) {
    return compile && benchmark.equals("train-step") ? List.of(EAGER, COMPILED) : List.of(EAGER);
  }

  private static List<String> with(String benchmark, List<String> arguments) {
    return Stream.concat(Stream.of(benchmark), arguments.stream()).toList();
  }

  private List<String> checkouts() {
    var arguments = new ArrayList<String>();
    add(arguments, "--xlstm", xlstm);
    add(arguments, "--mlstm-kernels", mlstmKernels);
    add(arguments, "--x-lstm", didactic);
    return arguments;
  }

  private void add(List<String> arguments, String name, @Nullable Path folder) {
    if (folder != null) {
      if (!Files.isDirectory(folder)) {
        throw new ParameterException(
            spec.commandLine(), name + " (" + folder + ") must be a folder");
      }
      arguments.add(name + "=" + folder.toAbsolutePath());
    }
  }

  private List<Measurement> printed(List<Measurement> measurements) {
    if (json) {
      PrintWriter out = spec.commandLine().getOut();
      measurements.forEach(measurement -> out.println(measurement.toJson()));
      out.flush();
    }
    return measurements;
  }

  private static void say(PrintWriter err, String what) {
    err.println(what.strip());
    err.flush();
  }
}
