package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.text.Corpora;
import io.xlstm4j.text.Corpus;
import io.xlstm4j.text.Split;
import io.xlstm4j.text.TokenFile;
import io.xlstm4j.train.config.DataConfig;
import io.xlstm4j.train.config.RunConfig;
import io.xlstm4j.train.run.RunFolder;
import io.xlstm4j.train.series.Forecaster;
import io.xlstm4j.train.task.Evaluation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
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
          "wordnet, a prepared folder, a folder with train.txt and valid.txt, a text file, or a"
              + " glob; for series, a CSV file")
  private String data;

  @Option(
      names = "--split",
      paramLabel = "PART",
      description =
          "train, validation (of series the last part) or all; default: all of a file that the"
              + " model was not trained on, else validation")
  private @Nullable Part part;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "0",
      description = "stop at the end of the batch that reaches so many tokens; default all")
  private long maxTokens;

  @Option(
      names = "--carry-state",
      description = "carry the state over document ends instead of starting each afresh")
  private boolean truncatedBptt;

  @Option(
      names = "--device",
      converter = DeviceName.class,
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
      loaded.special().warnings().forEach(ErrorHandlers.warner(spec.commandLine()));
      Corpus corpus =
          TextData.open(
              data,
              "%s is a language model; for series train one of series first: "
                      .replace("%s", OneLine.of(model))
                  + Program.command("train --data %s 'series.target_columns=[COLUMN]'"));
      Part chosen = part != null ? part : usualPart(corpus);
      Path folder = Files.createTempDirectory("xlstm-eval");
      Path file = folder.resolve("eval.tokens");
      try {
        switch (chosen) {
          case TRAIN -> TokenFile.build(corpus, Split.TRAIN, loaded.tokenizer(), file);
          case VALIDATION -> TokenFile.build(corpus, Split.VALIDATION, loaded.tokenizer(), file);
          case ALL ->
              TokenFile.build(Corpora.whole(corpus), Split.VALIDATION, loaded.tokenizer(), file);
        }
        try (var tokens = TokenFile.open(file)) {
          var result =
              Evaluation.run(
                  loaded.model(),
                  tokens,
                  LANES,
                  loaded.model().config().contextLength(),
                  maxTokens,
                  !truncatedBptt);
          print(result, tokens, corpus.name() + ": " + chosen.label());
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

  /// Returns the default part of the data: a file of one's own is measured whole, unless a part of
  /// it trained this model.
  private Part usualPart(Corpus corpus) {
    return corpus.dividedHere() && !trainedOn() ? Part.ALL : Part.VALIDATION;
  }

  /// Returns whether the model lies in the folder of a run on the same data.
  private boolean trainedOn() {
    DataConfig trained;
    try {
      RunConfig config = RunFolder.of(model).readRunConfig();
      trained = config.data();
    } catch (InvalidInputException e) {
      return false; // no run, or one that nobody can read
    }
    return Stream.concat(
            Stream.of(trained.corpus()), trained.mix().stream().map(DataConfig.Source::corpus))
        .anyMatch(this::isData);
  }

  private boolean isData(String corpus) {
    if (corpus.equals(data)) {
      return true;
    }
    try {
      return Files.isSameFile(Path.of(corpus), Path.of(data));
    } catch (IOException | InvalidPathException e) {
      return false; // a glob, or gone
    }
  }

  private void evaluateSeries() {
    if (maxTokens > 0 || truncatedBptt) {
      throw new ParameterException(
          spec.commandLine(),
          "--max-tokens and --carry-state are for language models, but %s is a model of series"
              .formatted(model));
    }
    if (part == Part.ALL) {
      throw new ParameterException(
          spec.commandLine(),
          "--split all is for language models, but %s is a model of series; give train or validation"
              .formatted(model));
    }
    var out = spec.commandLine().getOut();
    try (var forecaster = Forecaster.open(model, device)) {
      Forecaster.Errors errors = forecaster.evaluate(csv(), part == Part.TRAIN);
      out.printf(Locale.ROOT, "%-15s%.4f %s, scaled%n", "loss", errors.loss(), errors.lossName());
      errors
          .measures()
          .forEach((name, value) ->
              out.printf(Locale.ROOT, "%-15s%s%n", shown(name), MeasureText.of(value)));
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

  private void print(Evaluation.Result result, TokenFile tokens, String what) {
    var out = spec.commandLine().getOut();
    out.printf(Locale.ROOT, "loss           %.4f nats per token%n", result.loss());
    out.printf(Locale.ROOT, "perplexity     %s%n", perplexity(result.perplexity()));
    out.printf(Locale.ROOT, "bits per byte  %.4f%n", result.bitsPerByte());
    boolean all = result.tokens() == tokens.size() - 1;
    out.printf(
        Locale.ROOT,
        "tokens         %,d%s%n",
        result.tokens(),
        all ? "" : String.format(Locale.ROOT, " of %,d", tokens.size() - 1));
    out.printf(Locale.ROOT, "documents      %,d%n", tokens.documents());
    out.printf(Locale.ROOT, "bytes          %,d%n", tokens.textBytes());
    out.printf(Locale.ROOT, "data           %s%n", what);
    out.flush();
  }

  /// With four digits that count, as `3.656`, `72,990` or `1.235e+09`.
  private static String perplexity(double value) {
    if (!(value < 1e7)) {
      return String.format(Locale.ROOT, "%.3e", value);
    }
    int decimals = Math.clamp(3 - (int) Math.floor(Math.log10(Math.max(1, value))), 0, 3);
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }

  /// The documents that are measured.
  enum Part {
    TRAIN("the part to train on"),
    VALIDATION("the part to validate on"),
    ALL("all of it");

    private final String said;

    Part(String said) {
      this.said = said;
    }

    /// Returns the name for the output.
    String label() {
      return said;
    }

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }
}
