package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.ModelFolder.Layout;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.ComposedTensors;
import io.xlstm4j.core.safetensors.ComposedTensors.Rows;
import io.xlstm4j.core.safetensors.ConvertedTensor;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.core.safetensors.TensorToWrite;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Writes a checkpoint folder again in another layout, without a loss: names and files, stacked or
/// single weights, layouts of recurrent kernels; and with a loss where a narrower type is asked
/// for. See `docs/checkpoint-format.md`.
public final class CheckpointConverter {
  /// A shard of Hugging Face's library is no larger.
  public static final long DEFAULT_SHARD_BYTES = 5_000_000_000L;

  /// Files beside the weights that are copied with them.
  static final List<String> COMPANIONS =
      List.of(
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "generation_config.json");

  private static final Map<String, String> METADATA = Map.of("format", "pt");

  private final ModelFolder from;
  private final Target target;

  /// The properties of the new folder. Null keeps the present one.
  ///
  /// @param layout of folder and names
  /// @param weightMode of the Large family only
  /// @param kernelLayout of recurrent kernels, of the paper family only
  /// @param type of every number
  /// @param maxShardBytes the most tensor data in one file; a larger tensor has a file of its own
  public record Target(
      @Nullable Layout layout,
      @Nullable WeightMode weightMode,
      @Nullable Backend kernelLayout,
      @Nullable DType type,
      long maxShardBytes) {
    /// The same again, in files of the usual size.
    public static final Target SAME = new Target(null, null, null, null, DEFAULT_SHARD_BYTES);

    public Target {
      Check.positive("maxShardBytes", maxShardBytes);
      if (type != null && !type.isFloat()) {
        throw new IllegalArgumentException("type (" + type + ") must be a floating-point type");
      }
    }
  }

  private CheckpointConverter(ModelFolder from, Target target) {
    this.from = from;
    this.target = target;
  }

  /// Writes `to` anew as a whole; a crash leaves what was there before.
  ///
  /// @param to missing, or a checkpoint folder, which is replaced; not the folder that is read, one
  ///   within the other, or a run
  /// @throws InvalidInputException if the family has no such layout, if a number is too large for
  ///   the type asked for, or if the system refuses
  public static void write(ModelFolder from, Path to, Target target) {
    OutputFolder.require(from.path(), to);
    FiniteNumbers.require(from.tensors(), OneLine.of(from.path()));
    var conversion = new CheckpointConverter(from, target);
    ModelConfig model = conversion.newModel();
    List<TensorToWrite> tensors = conversion.tensors(model);
    CheckpointFolder.replace(to, staging -> conversion.fill(staging, model, tensors));
  }

  private Layout newLayout() {
    Layout layout = target.layout;
    return layout == null ? from.layout() : layout;
  }

  private ModelConfig newModel() {
    return switch (from.config().model()) {
      case LargeModelConfig large -> {
        if (target.kernelLayout != null) {
          throw new InvalidInputException(
              OneLine.of(from.path()) + ": is of the Large family, which has no sLSTM kernels");
        }
        WeightMode mode = target.weightMode == null ? large.weightMode() : target.weightMode;
        if (newLayout() == Layout.OFFICIAL && mode == WeightMode.FUSED) {
          throw new InvalidInputException(
              OneLine.of(from.path())
                  + ": the official code reads single weights only; choose them");
        }
        yield large.withWeightMode(mode);
      }
      case PaperModelConfig paper -> {
        if (target.weightMode != null || newLayout() == Layout.OFFICIAL) {
          throw new InvalidInputException(
              OneLine.of(from.path())
                  + ": is of the paper family; weight modes and config.yaml are of the Large family");
        }
        yield target.kernelLayout == null ? paper : paper.withKernelLayout(target.kernelLayout);
      }
    };
  }

  private List<TensorToWrite> tensors(ModelConfig model) {
    TensorSource source =
        switch (model) {
          case LargeModelConfig large -> named(large, from.tensors(large.weightMode()));
          case PaperModelConfig paper -> withHead(paper, from.tensors());
        };
    var tensors = new ArrayList<TensorToWrite>();
    for (TensorInfo info : source.tensors().values()) {
      tensors.add(tensor(info, source, model));
    }
    return tensors;
  }

  /// One tensor of the new folder.
  private TensorToWrite tensor(TensorInfo info, TensorSource source, ModelConfig model) {
    DType type = target.type == null ? info.dtype() : target.type;
    if (model instanceof PaperModelConfig paper) {
      @Nullable TensorToWrite moved = KernelLayouts.converted(info, source, paper, type);
      if (moved != null) {
        return moved;
      }
    }
    List<MemorySegment> pieces =
        source instanceof ComposedTensors arranged
            ? arranged.pieces(info.name())
            : List.of(source.data(info.name()));
    return new ConvertedTensor(info.name(), info, pieces, type);
  }

  /// Under the names of the new folder, with the head of a tied model.
  private TensorSource named(LargeModelConfig model, TensorSource source) {
    TensorSource whole = withHead(model, source);
    if (newLayout() != Layout.OFFICIAL) {
      return whole;
    }
    var names = new LinkedHashMap<String, List<Rows>>();
    for (String name : whole.tensors().keySet()) {
      names.put(
          name.equals(LargeTensors.EMBEDDING) ? LargeTensors.OFFICIAL_EMBEDDING : name,
          List.of(Rows.all(name)));
    }
    return new ComposedTensors(OneLine.of(from.path()), whole, names);
  }

  /// The tensors in the order of the modules; a tied head that is not stored is the embedding.
  /// Hugging Face's library and the official code both look for it.
  private TensorSource withHead(ModelConfig model, TensorSource source) {
    if (source.tensors().containsKey(ModelTensors.head())) {
      return source;
    }
    var names = new LinkedHashMap<String, List<Rows>>();
    for (String name : ModelTensors.of(model).keySet()) {
      boolean missing = !source.tensors().containsKey(name);
      names.put(name, List.of(Rows.all(missing ? ModelTensors.embedding(model) : name)));
    }
    return new ComposedTensors(OneLine.of(from.path()), source, names);
  }

  private void fill(Path staging, ModelConfig model, List<TensorToWrite> tensors)
      throws IOException {
    CheckpointConfig config = ConvertedTokens.config(from).withModel(model);
    long bytes = tensors.stream().mapToLong(TensorToWrite::byteSize).sum();
    boolean whole = bytes <= target.maxShardBytes;
    if (whole) {
      SafetensorsWriter.write(staging.resolve(TensorSource.SINGLE_FILE), tensors, METADATA);
    }
    switch (newLayout()) {
      case CONFIG_JSON -> {
        if (!whole) {
          SafetensorsWriter.writeSharded(staging, tensors, METADATA, target.maxShardBytes);
        }
        Files.writeString(
            staging.resolve(CheckpointConfig.FILE_NAME), config.toJson(typeName(tensors)));
      }
      case OFFICIAL -> {
        if (!whole) {
          SafetensorsWriter.writeNumbered(staging, tensors, METADATA, target.maxShardBytes);
        }
        Files.writeString(
            staging.resolve(CheckpointConfig.OFFICIAL_FILE_NAME), config.toOfficialYaml());
      }
    }
    for (String companion : COMPANIONS) {
      if (Files.isRegularFile(from.path().resolve(companion))) {
        Files.copy(from.path().resolve(companion), staging.resolve(companion));
      }
    }
    if (newLayout() == Layout.OFFICIAL) {
      ConvertedTokens.writeBeside(config, staging);
    }
  }

  /// The type of most numbers, as Hugging Face names it.
  private static String typeName(List<TensorToWrite> tensors) {
    var bytes = new LinkedHashMap<DType, Long>();
    tensors.forEach(tensor -> bytes.merge(tensor.dtype(), tensor.byteSize(), Long::sum));
    return bytes.entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .map(entry -> typeName(entry.getKey()))
        .orElse("float32");
  }

  private static String typeName(DType type) {
    return switch (type) {
      case F64 -> "float64";
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case I64, I32, I8, U8 -> type.name().toLowerCase(Locale.ROOT);
    };
  }
}
