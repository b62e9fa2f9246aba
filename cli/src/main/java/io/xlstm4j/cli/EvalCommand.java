package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.train.series.Forecaster;
import io.xlstm4j.train.task.Evaluation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `eval`: how well a model predicts a corpus.
@Command(
    name = "eval",
    description =
        "Measure a model: on a corpus, loss, perplexity, bits per byte; on series, the errors of its forecasts.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class EvalCommand implements Callable<Integer> {
  private static final int LANES = 16;

  @Spec private CommandSpec spec;

  @Option(names = "--model", required = true, paramLabel = "DIR", description = "checkpoint folder")
  private Path model;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "CORPUS",
      description =
          "wordnet, a folder with train.txt and valid.txt, a text file, or a glob; for series, a CSV file")
  private String data;

  @Option(
      names = "--split",
      paramLabel = "NAME",
      defaultValue = "VALIDATION",
      description = "TRAIN or VALIDATION, of series the last part; default ${DEFAULT-VALUE}")
  private Split split;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "0",
      description = "read about so many tokens; default all")
  private long maxTokens;

  @Option(
      names = "--carry-state",
      description = "carry the state over document ends instead of starting each afresh")
  private boolean carryState;

  @Option(
      names = "--device",
      paramLabel = "NAME",
      defaultValue = "cpu",
      description = "cpu, cuda or cuda:N; default ${DEFAULT-VALUE}")
  private String device;

  @Override
  public Integer call() {
    if (maxTokens < 0) {
      throw new ParameterException(
          spec.commandLine(), "--max-tokens (" + maxTokens + ") must not be negative");
    }
    if (SequenceConfigKeys.describe(model)) {
      evaluateSeries();
      return ExitCode.OK;
    }
    try (var loaded = LoadedModel.open(model, device)) {
      Path folder = Files.createTempDirectory("xlstm-eval");
      Path file = folder.resolve("eval.tokens");
      try {
        TokenFile.build(Corpora.open(data), split, loaded.tokenizer(), file);
        try (var tokens = TokenFile.open(file)) {
          print(
              Evaluation.run(
                  loaded.model(),
                  tokens,
                  LANES,
                  loaded.model().config().contextLength(),
                  maxTokens,
                  !carryState));
        }
      } finally {
        Files.deleteIfExists(file);
        Files.deleteIfExists(folder);
      }
    } catch (IOException e) {
      throw new InvalidInputException("no temporary folder can be made: " + e.getMessage(), e);
    }
    return ExitCode.OK;
  }

  private void evaluateSeries() {
    if (maxTokens > 0 || carryState) {
      throw new ParameterException(
          spec.commandLine(),
          "--max-tokens and --carry-state are for language models, but %s is a model of series"
              .formatted(model));
    }
    var out = spec.commandLine().getOut();
    try (var forecaster = Forecaster.open(model, device)) {
      Forecaster.Errors errors = forecaster.evaluate(csv(), split == Split.TRAIN);
      out.printf(Locale.ROOT, "%-15s%.4f %s, scaled%n", "loss", errors.loss(), errors.lossName());
      errors
          .measures()
          .forEach((name, value) -> out.printf("%-15s%s%n", shown(name), MeasureText.of(value)));
      out.printf(Locale.ROOT, "%-15s%,d%n", "windows", errors.windows());
      out.printf(Locale.ROOT, "%-15s%,d%n", "targets", errors.targets());
    }
    out.flush();
  }

  private Path csv() {
    try {
      return Path.of(data);
    } catch (InvalidPathException e) {
      throw new InvalidInputException("--data " + data + " must be the path of a CSV file", e);
    }
  }

  private static String shown(String measure) {
    return measure.equals("mae") || measure.equals("mse") || measure.equals("rmse")
        ? measure.toUpperCase(Locale.ROOT)
        : measure.replace('_', ' ');
  }

  private void print(Evaluation.Result result) {
    var out = spec.commandLine().getOut();
    out.printf(Locale.ROOT, "loss           %.4f nats per token%n", result.loss());
    out.printf(Locale.ROOT, "perplexity     %.3f%n", result.perplexity());
    out.printf(Locale.ROOT, "bits per byte  %.4f%n", result.bitsPerByte());
    out.printf(Locale.ROOT, "tokens         %,d%n", result.tokens());
    out.flush();
  }
}
