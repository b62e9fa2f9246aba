package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import java.util.List;
import java.util.stream.Collectors;

/// All benchmarks.
public final class Benchmarks {
  /// Every benchmark, in the order that help shows.
  public static final List<Benchmark> ALL =
      List.of(
          new TrainStep(),
          new Cells(),
          new Seed(),
          new Gemm(),
          new Linearity(),
          new Prefill(),
          new Decode(),
          new Startup(),
          new ServingMemory(),
          new Bandwidth(),
          new LargeTrainStep());

  private Benchmarks() {}

  /// @throws InvalidInputException if there is none of that name
  public static Benchmark named(String name) {
    return ALL.stream()
        .filter(benchmark -> benchmark.name().equals(name))
        .findFirst()
        .orElseThrow(() ->
            new InvalidInputException(
                "there is no benchmark %s; there are %s".formatted(name, names())));
  }

  private static String names() {
    return ALL.stream().map(Benchmark::name).collect(Collectors.joining(", "));
  }
}
