package io.xlstm4j.cli;

import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.TreeMap;
import java.util.concurrent.Callable;
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
    CheckpointConfig config = CheckpointConfig.read(folder);
    CheckpointFolder.verify(folder);
    PrintWriter out = spec.commandLine().getOut();
    switch (config.model()) {
      case PaperModelConfig paper -> print(paper, out);
      case LargeModelConfig _ -> line(out, "family", "xLSTM Large");
    }
    try (var source = TensorSource.openFolder(folder)) {
      var types = new TreeMap<String, Long>();
      long count = 0;
      long bytes = 0;
      for (TensorInfo info : source.tensors().values()) {
        types.merge(info.dtype().name(), info.elementCount(), Long::sum);
        count += info.elementCount();
        bytes += info.byteSize();
      }
      line(
          out,
          "stored",
          "%,d numbers in %d tensors, %,d bytes",
          count,
          source.tensors().size(),
          bytes);
      types.forEach((type, numbers) -> line(out, "  " + type, "%,d numbers", numbers));
      if (tensors) {
        for (TensorInfo info : source.tensors().values()) {
          out.printf(
              Locale.ROOT,
              "%-6s%-18s%s%n",
              info.dtype(),
              Arrays.toString(info.shape()),
              info.name());
        }
      }
    }
    out.flush();
    return ExitCode.OK;
  }

  private static void print(PaperModelConfig config, PrintWriter out) {
    BlockStackConfig stack = config.blockStack();
    line(out, "family", "paper xLSTM");
    line(
        out,
        "blocks",
        "%d: %d mLSTM, %d sLSTM at %s",
        stack.numBlocks(),
        stack.numBlocks() - stack.slstmAt().size(),
        stack.slstmAt().size(),
        stack.slstmAt());
    line(out, "width", "%d", stack.embeddingDim());
    line(out, "context", "%d tokens in training", stack.contextLength());
    line(
        out,
        "vocabulary",
        "%,d%s",
        config.vocabSize(),
        config.tieWeights() ? ", head tied to the embedding" : "");
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-12s%s%n", name, String.format(Locale.ROOT, format, values));
  }
}
