package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointConverter;
import io.xlstm4j.core.checkpoint.Int8Quantizer;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.ModelFolder.Layout;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/// `convert`: the same model in another layout or type.
@Command(
    name = "convert",
    description = "Write a checkpoint folder again in another layout or type.",
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {
      "",
      "What is not said stays as it is. Layouts, names and shapes: docs/checkpoint-format.md."
    })
final class ConvertCommand implements Callable<Integer> {
  private static final Map<String, DType> TYPES =
      Map.of("float32", DType.F32, "bfloat16", DType.BF16, "float16", DType.F16);

  private static final Map<String, Long> UNITS =
      Map.of("", 1L, "KB", 1_000L, "MB", 1_000_000L, "GB", 1_000_000_000L);

  @Spec private CommandSpec spec;

  @Parameters(index = "0", paramLabel = "DIR", description = "checkpoint folder to read")
  private Path from;

  @Parameters(
      index = "1",
      paramLabel = "OUT",
      description = "folder to write; a checkpoint that is there is replaced as a whole")
  private Path to;

  @Option(
      names = "--layout",
      paramLabel = "NAME",
      description =
          "huggingface: config.json, ours too; official, with config.yaml, for the Large family only")
  private @Nullable String layout;

  @Option(
      names = "--weights",
      paramLabel = "MODE",
      description = "single or fused projections, Large family only")
  private @Nullable String weights;

  @Option(
      names = "--slstm-kernels",
      paramLabel = "LAYOUT",
      description = "cuda or vanilla recurrent kernels, paper family only")
  private @Nullable String kernels;

  @Option(
      names = "--dtype",
      paramLabel = "TYPE",
      description = "float32, bfloat16 or float16 for every number")
  private @Nullable String dtype;

  @Option(
      names = "--quantize",
      paramLabel = "TYPE",
      description = "int8: matrices in 8 bits with scales, which the runtime reads fastest")
  private @Nullable String quantize;

  @Option(
      names = "--group",
      paramLabel = "N",
      defaultValue = "64",
      description =
          "columns that share a scale: 32, 64, 128, or 0 for whole rows; default ${DEFAULT-VALUE}")
  private int group;

  @Option(
      names = "--max-shard-size",
      paramLabel = "SIZE",
      defaultValue = "5GB",
      description =
          "split larger weights into files; bytes, or with KB, MB or GB; ${DEFAULT-VALUE}")
  private String maxShardSize;

  @Override
  public Integer call() {
    PrintWriter out = spec.commandLine().getOut();
    if (SequenceConfigKeys.describe(from)) {
      throw new InvalidInputException(
          from
              + ": a model of series, which has one layout and type; copy the folder as it is, and use it with "
              + Program.command("forecast"));
    }
    if (quantize == null && spec.commandLine().getParseResult().hasMatchedOption("--group")) {
      throw new ParameterException(spec.commandLine(), "--group goes with --quantize int8");
    }
    if (quantize != null) {
      quantize(quantize);
      return written(out);
    }
    var target =
        new CheckpointConverter.Target(
            layout == null ? null : layout(layout),
            weights == null ? null : named("--weights", WeightMode.values(), weights),
            kernels == null ? null : named("--slstm-kernels", Backend.values(), kernels),
            dtype == null ? null : type(dtype),
            bytes(maxShardSize));
    try (var folder = ModelFolder.open(from)) {
      CheckpointConverter.write(folder, to, target);
      if (target.layout() == Layout.OFFICIAL && folder.config().tokenizer() != null) {
        out.println(
            "config.yaml has no place for the built-in tokenizer " + folder.config().tokenizer());
      }
    }
    return written(out);
  }

  private int written(PrintWriter out) {
    try (var written = TensorSource.openFolder(to)) {
      out.println("wrote " + to + ": " + StoredWeights.of(to, written).summary());
    }
    out.flush();
    return ExitCode.OK;
  }

  private void quantize(String type) {
    if (!type.equals("int8")) {
      throw wrong("--quantize", type, "int8");
    }
    if (layout != null || weights != null || kernels != null || dtype != null) {
      throw new ParameterException(
          spec.commandLine(), "--quantize goes with --group only; convert in two steps");
    }
    if (group != 0 && group != 32 && group != 64 && group != 128) {
      throw wrong("--group", Integer.toString(group), "32, 64, 128 or 0");
    }
    try (var folder = ModelFolder.open(from)) {
      Int8Quantizer.write(folder, to, group);
    }
  }

  private Layout layout(String name) {
    return switch (name) {
      case "huggingface" -> Layout.CONFIG_JSON;
      case "official" -> Layout.OFFICIAL;
      default -> throw wrong("--layout", name, "huggingface or official");
    };
  }

  private DType type(String name) {
    @Nullable DType type = TYPES.get(name);
    if (type == null) {
      throw wrong("--dtype", name, "float32, bfloat16 or float16");
    }
    return type;
  }

  private <E extends Enum<E>> E named(String option, E[] values, String name) {
    for (E value : values) {
      if (value.toString().equals(name)) {
        return value;
      }
    }
    throw wrong(option, name, values[0] + " or " + values[1]);
  }

  private long bytes(String size) {
    Matcher matcher =
        Pattern.compile("([0-9]{1,9})(|KB|MB|GB)").matcher(size.toUpperCase(Locale.ROOT));
    long bytes =
        matcher.matches()
            ? Long.parseLong(matcher.group(1)) * UNITS.getOrDefault(matcher.group(2), 1L)
            : 0;
    if (bytes == 0) {
      throw wrong("--max-shard-size", size, "a size such as 500MB or 5GB");
    }
    return bytes;
  }

  private ParameterException wrong(String option, String value, String right) {
    return new ParameterException(spec.commandLine(), option + " (" + value + ") must be " + right);
  }
}
