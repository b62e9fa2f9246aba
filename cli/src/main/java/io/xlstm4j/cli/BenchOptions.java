package io.xlstm4j.cli;

import io.xlstm4j.bench.Benchmark;
import io.xlstm4j.bench.Sizes;
import io.xlstm4j.bench.Timing;
import io.xlstm4j.torch.Torch;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/// The options that `bench` and `bench compare` share: sizes, timing, threads.
final class BenchOptions {
  @Option(
      names = "--case",
      paramLabel = "TEXT",
      description = "measure only cases whose name contains this")
  private @Nullable String only;

  @Option(
      names = "--reps",
      paramLabel = "N",
      defaultValue = "7",
      description = "timed runs of each case, at least; default ${DEFAULT-VALUE}")
  private int reps;

  @Option(
      names = "--warmup",
      paramLabel = "SECONDS",
      description =
          "run each case untimed so long before, for Java's compiler; default 20, cells 5, gemm 2, "
              + "decode and prefill 5, startup 1")
  private @Nullable Double warmup;

  @Option(
      names = "--least",
      paramLabel = "SECONDS",
      defaultValue = "2",
      description = "time each case so long, at least; default ${DEFAULT-VALUE}")
  private double least;

  @Option(names = "--threads", paramLabel = "N", description = "threads of one operation")
  private @Nullable Integer threads;

  @Option(
      names = "--batch",
      paramLabel = "B",
      defaultValue = "8",
      description = "rows; default ${DEFAULT-VALUE}")
  private int batch;

  @Option(
      names = "--seq",
      paramLabel = "S",
      defaultValue = "256",
      description = "tokens in a row; default ${DEFAULT-VALUE}")
  private int seq;

  @Option(
      names = "--dim",
      paramLabel = "D",
      defaultValue = "128",
      description = "width of the model; default ${DEFAULT-VALUE}")
  private int dim;

  @Option(
      names = "--heads",
      paramLabel = "NH",
      defaultValue = "4",
      description = "heads; default ${DEFAULT-VALUE}")
  private int heads;

  @Option(
      names = "--vocab",
      paramLabel = "V",
      defaultValue = "256",
      description = "vocabulary; default ${DEFAULT-VALUE}")
  private int vocab;

  @Option(
      names = "--blocks",
      paramLabel = "N",
      defaultValue = "7",
      description = "blocks of the large model; default ${DEFAULT-VALUE}")
  private int blocks;

  @Option(
      names = "--size",
      paramLabel = "77m|247m",
      defaultValue = "77m",
      description =
          "prefill, decode, startup, memory: width and blocks, 512 and 8 or 768 and 24; default "
              + "${DEFAULT-VALUE}")
  private String size = "77m";

  @Option(
      names = "--large-dim",
      paramLabel = "D",
      description = "prefill, decode, startup, memory: width of the model; default as --size says")
  private @Nullable Integer largeDim;

  @Option(
      names = "--large-blocks",
      paramLabel = "N",
      description = "prefill, decode, startup, memory: blocks; default as --size says")
  private @Nullable Integer largeBlocks;

  @Option(
      names = "--large-vocab",
      paramLabel = "V",
      defaultValue = "50304",
      description = "prefill, decode, startup: vocabulary; default ${DEFAULT-VALUE}")
  private int largeVocab;

  Sizes sizes() {
    return new Sizes(batch, seq, dim, heads, vocab, blocks, served());
  }

  private Sizes.Served served() {
    Sizes.Served named = Sizes.Served.named(size, largeVocab);
    return new Sizes.Served(
        largeDim == null ? named.dim() : largeDim,
        largeBlocks == null ? named.blocks() : largeBlocks,
        largeVocab);
  }

  Timing timing(Benchmark benchmark) {
    return new Timing(reps, warmup == null ? benchmark.warmupSeconds() : warmup, least);
  }

  boolean wants(String caseName) {
    return only == null || caseName.contains(only);
  }

  @Nullable String only() {
    return only;
  }

  /// Bounds the threads of this process. To be called before anything is measured.
  void useThreads(CommandSpec spec) {
    if (threads == null) {
      return;
    }
    if (threads < 1) {
      throw new ParameterException(
          spec.commandLine(), "--threads (" + threads + ") must be positive");
    }
    System.setProperty("xlstm4j.threads", threads.toString());
    Torch.threads(threads);
  }

  /// These options for the program itself.
  List<String> forUs() {
    return arguments(true);
  }

  /// These options for the peers' script, which needs no warm-up of seconds.
  List<String> forPeers() {
    return arguments(false);
  }

  private List<String> arguments(boolean ours) {
    Sizes.Served served = served();
    var arguments = new ArrayList<String>();
    if (only != null) {
      arguments.add("--case=" + only);
    }
    if (threads != null) {
      arguments.add("--threads=" + threads);
    }
    if (ours && warmup != null) {
      arguments.add(String.format(Locale.ROOT, "--warmup=%s", warmup));
    }
    arguments.add(String.format(Locale.ROOT, "--least=%s", least));
    arguments.addAll(
        List.of(
            "--reps=" + reps,
            "--batch=" + batch,
            "--seq=" + seq,
            "--dim=" + dim,
            "--heads=" + heads,
            "--vocab=" + vocab,
            "--blocks=" + blocks,
            "--large-dim=" + served.dim(),
            "--large-blocks=" + served.blocks(),
            "--large-vocab=" + largeVocab));
    return List.copyOf(arguments);
  }
}
