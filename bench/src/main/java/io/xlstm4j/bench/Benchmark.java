package io.xlstm4j.bench;

import java.util.List;
import java.util.function.Supplier;

/// A group of cases that the program measures under one name. To add one: implement this, and name
/// it in [Benchmarks#ALL].
public interface Benchmark {
  /// The name that the user types.
  String name();

  /// A description of what it measures, in one line.
  String description();

  /// How long a case should run untimed. Java compiles the kernels while they run, and a large step
  /// calls them seldom.
  default double warmupSeconds() {
    return 20;
  }

  /// Its cases, none of them run yet.
  ///
  /// @throws IllegalArgumentException if the sizes do not fit it
  List<Case> cases(Setting setting);

  /// @param name the measurement's name
  /// @param measure runs it
  record Case(String name, Supplier<Measurement> measure) {}

  /// @param sizes of everything measured
  /// @param timing of each case
  /// @param fresh where a case runs that needs a process of its own
  record Setting(Sizes sizes, Timing timing, FreshProcess fresh) {}

  /// The program, started anew.
  @FunctionalInterface
  interface FreshProcess {
    /// Runs `bench` with the arguments, and `--json`.
    ///
    /// @return what it measured
    /// @throws io.xlstm4j.core.InvalidInputException if it failed
    List<Measurement> bench(List<String> arguments);
  }
}
