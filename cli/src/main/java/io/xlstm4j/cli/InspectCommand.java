package io.xlstm4j.cli;

import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.checkpoint.SequenceTensors;
import io.xlstm4j.core.checkpoint.SpecialTokens;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SequenceLossConfig;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.train.config.SeriesConfig;
import io.xlstm4j.train.series.Scales;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `inspect`: what is in a checkpoint folder, without loading it.
@Command(
    name = "inspect",
    description = "Show what is in a checkpoint folder.",
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class InspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "DIR", description = "checkpoint folder")
  private Path folder;

  @Option(names = "--tensors", description = "list every tensor with its type and shape")
  private boolean tensors;

  @Override
  public Integer call() {
    CheckpointFolder.verify(folder);
    PrintWriter out = spec.commandLine().getOut();
    if (SequenceConfigKeys.describe(folder)) {
      inspectSeries(out);
      out.flush();
      return ExitCode.OK;
    }
    try (var opened = ModelFolder.open(folder)) {
      ModelConfig model = opened.config().model();
      switch (model) {
        case PaperModelConfig paper -> print(paper, out);
        case LargeModelConfig large -> print(large, out);
      }
      line(out, "width", "%d numbers per token (embedding_dim)", model.embeddingDim());
      line(out, "context", "%d tokens in training; any length works", model.contextLength());
      line(
          out,
          "vocabulary",
          "%,d tokens%s",
          model.vocabSize(),
          model.tiesWeights() ? ", head tied to the embedding" : "");
      line(out, "parameters", "%,d", ModelTensors.parameterCount(model));
      line(
          out,
          "state",
          "%,d bytes per sequence in float32, whatever its length",
          Float.BYTES * ModelTensors.stateCount(model));
      line(
          out,
          "layout",
          "%s",
          switch (opened.layout()) {
            case CONFIG_JSON -> "config.json, ours and Hugging Face's";
            case OFFICIAL -> "official, config.yaml";
          });
      print(SpecialTokens.read(folder, opened.config()), out);
      print(opened.stored(), out);
    }
    out.flush();
    return ExitCode.OK;
  }

  private static void print(SpecialTokens special, PrintWriter out) {
    String end =
        special.ends().isEmpty() ? "the tokenizer's end" : "token " + joined(special.ends());
    String begin =
        special.beginsWithEnd()
            ? end
            : special.prefix().isEmpty()
                ? "nothing before it"
                : "token " + joined(special.prefix());
    line(out, "a text", "begins with %s, ends with %s", begin, end);
    special.warnings().forEach(warning -> line(out, "warning", "%s", warning));
  }

  private static String joined(List<Integer> ids) {
    return ids.stream().map(String::valueOf).collect(Collectors.joining(" or "));
  }

  private void inspectSeries(PrintWriter out) {
    SequenceModelConfig model = SequenceConfigKeys.read(folder);
    SequenceLossConfig loss = model.loss();
    line(out, "family", "xLSTM for series, of paper blocks");
    printBlocks(model.blockStack(), out);
    line(out, "width", "%d", model.blockStack().embeddingDim());
    line(out, "context", "%d rows in training", model.blockStack().contextLength());
    if (Files.exists(folder.resolve(Scales.FILE_NAME))) {
      print(Scales.read(folder).config(), out);
    }
    line(out, "inputs", "%d numbers a row", model.inputs());
    line(
        out,
        "head",
        "%d targets, each %s; pooling %s",
        model.outputs(),
        switch (loss.kind()) {
          case MSE, MAE -> "a number (" + loss.kind() + ")";
          case QUANTILE -> "with quantiles " + loss.levels();
          case CROSS_ENTROPY -> "one of " + loss.classes() + " classes";
        },
        model.pooling());
    long parameters = 0;
    for (long[] shape : SequenceTensors.of(model).values()) {
      parameters += Arrays.stream(shape).reduce(1, (a, b) -> a * b);
    }
    line(out, "parameters", "%,d", parameters);
    try (TensorSource tensors = TensorSource.openFolder(folder)) {
      SequenceTensors.check(model, tensors, OneLine.of(folder));
      print(tensors, out);
    }
  }

  private static void print(SeriesConfig series, PrintWriter out) {
    line(out, "targets", "%s", String.join(", ", series.targetColumns()));
    line(out, "columns", "%s read", String.join(", ", series.inputColumns()));
    if (!series.timeColumn().isEmpty()) {
      line(out, "time", "%s", series.timeColumn());
    }
    if (!series.idColumn().isEmpty()) {
      line(out, "series by", "%s", series.idColumn());
    }
    line(out, "horizon", "%d rows", series.horizon());
    line(out, "scaling", "%s, missing values: %s", series.scaling(), series.missing());
  }

  private void print(TensorSource opened, PrintWriter out) {
    var weights = StoredWeights.of(folder, opened);
    line(out, "stored", "%s (%,d bytes)", weights.summary(), weights.fileBytes());
    weights
        .types()
        .forEach((type, part) ->
            line(
                out,
                "  " + type,
                "%,d numbers in %d tensors, %s",
                part.numbers(),
                part.tensors(),
                StoredWeights.size(part.bytes())));
    if (tensors) {
      for (TensorInfo info : opened.tensors().values()) {
        out.printf(
            Locale.ROOT, "%-6s%-18s%s%n", info.dtype(), Arrays.toString(info.shape()), info.name());
      }
    }
  }

  private static void print(PaperModelConfig config, PrintWriter out) {
    line(out, "family", "paper xLSTM");
    printBlocks(config.blockStack(), out);
  }

  private static void printBlocks(BlockStackConfig stack, PrintWriter out) {
    line(
        out,
        "blocks",
        "%d: %d mLSTM, %d sLSTM at %s",
        stack.numBlocks(),
        stack.numBlocks() - stack.slstmAt().size(),
        stack.slstmAt().size(),
        stack.slstmAt());
  }

  private static void print(LargeModelConfig config, PrintWriter out) {
    line(out, "family", "xLSTM Large");
    line(
        out,
        "blocks",
        "%d: mLSTM of %d heads (queries %d, values %d wide), feed-forward %d wide",
        config.numBlocks(),
        config.numHeads(),
        config.qkHeadDim(),
        config.vHeadDim(),
        config.ffnDim());
    line(out, "weights", "%s", config.weightMode());
    line(
        out, "soft caps", "gates %s, logits %s", config.gateSoftCap(), config.outputLogitSoftCap());
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-12s%s%n", name, String.format(Locale.ROOT, format, values));
  }
}
