package io.xlstm4j.cli;

import io.xlstm4j.bench.Benchmark;
import io.xlstm4j.bench.Benchmarks;
import io.xlstm4j.bench.Measurement;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
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
      arity = "1..*",
      completionCandidates = Names.class,
      description = "what to measure: ${COMPLETION-CANDIDATES}")
  private List<String> what = List.of();

  @Option(names = "--json", description = "one line of JSON for each case")
  private boolean json;

  @Mixin private BenchOptions options = new BenchOptions();

  /// The benchmarks' names.
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Benchmarks.ALL.stream().map(Benchmark::name).iterator();
    }
  }

  @Override
  public Integer call() {
    List<Benchmark.Case> cases = cases(spec, options, what);
    options.useThreads(spec);
    PrintWriter out = spec.commandLine().getOut();
    for (Benchmark.Case next : cases) {
      Measurement measured = next.measure().get();
      out.println(json ? measured.toJson() : line(measured));
      out.flush();
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
        var setting = new Benchmark.Setting(options.sizes(), options.timing(), FreshProgram::bench);
        cases.addAll(Benchmarks.named(name).cases(setting));
      } catch (RuntimeException e) { // sizes that do not fit, names that do not exist
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

  /// For people: the name, the time, then every other key.
  private static String line(Measurement measured) {
    String details =
        measured.details().entrySet().stream()
            .map(BenchCommand::detail)
            .collect(Collectors.joining("  "));
    return String.format(
        Locale.ROOT, "%-52s %,12.3f ms   %s", measured.name(), measured.ms(), details);
  }

  private static String detail(Map.Entry<String, Object> entry) {
    return entry.getKey() + " " + entry.getValue();
  }
}
