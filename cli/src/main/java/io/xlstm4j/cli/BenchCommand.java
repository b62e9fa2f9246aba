package io.xlstm4j.cli;

import io.xlstm4j.bench.Benchmark;
import io.xlstm4j.bench.Benchmarks;
import io.xlstm4j.bench.Measurement;
import io.xlstm4j.bench.Timing;
import io.xlstm4j.core.InvalidInputException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `bench`: how fast this machine does the work.
@Command(
    name = "bench",
    description = "Measure speed on this machine; median times of single runs.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    subcommands = CompareCommand.class,
    footer = {
      "",
      "Let nothing else run meanwhile. docs/benchmarks.md says what each case does",
      "and what each key of a line means."
    })
final class BenchCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "WHAT",
      arity = "0..*", // none before the name of a subcommand; else checked below
      completionCandidates = Names.class,
      description = "what to measure: ${COMPLETION-CANDIDATES}")
  private List<String> what = List.of();

  @Option(names = "--json", description = "one line of JSON for each case")
  private boolean json;

  @Mixin private BenchOptions options = new BenchOptions();

  private static final List<String> NAMES = Benchmarks.ALL.stream().map(Benchmark::name).toList();

  /// The benchmarks' names, for the help.
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return NAMES.iterator();
    }
  }

  @Override
  public Integer call() {
    if (what.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "what to measure is missing; there are " + String.join(", ", NAMES));
    }
    List<Benchmark.Case> cases = cases(spec, options, what);
    options.useThreads(spec);
    PrintWriter out = spec.commandLine().getOut();
    var table = new MeasurementTable(out);
    for (Benchmark.Case next : cases) {
      Measurement measured = next.measure().get();
      if (json) {
        out.println(measured.toJson());
        out.flush();
      } else {
        table.print(measured);
      }
    }
    return ExitCode.OK;
  }

  /// The cases that were asked for.
  ///
  /// @throws ParameterException if there are none, or they do not fit the sizes
  static List<Benchmark.Case> cases(CommandSpec spec, BenchOptions options, List<String> what) {
    var cases = new ArrayList<Benchmark.Case>();
    for (String name : what) {
      try {
        Benchmark benchmark = Benchmarks.named(name);
        Timing timing = options.timing(benchmark);
        cases.addAll(
            benchmark.cases(new Benchmark.Setting(options.sizes(), timing, FreshProgram::bench)));
      } catch (IllegalArgumentException | InvalidInputException e) { // sizes, names
        throw new ParameterException(spec.commandLine(), "bench " + name + ": " + e.getMessage());
      }
    }
    List<String> names = cases.stream().map(Benchmark.Case::name).toList();
    cases.removeIf(next -> !options.wants(next.name()));
    if (cases.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(),
          "--case (%s) is in no name of a case; there are %s"
              .formatted(options.only(), String.join("; ", names)));
    }
    return cases;
  }
}
