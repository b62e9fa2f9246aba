package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.safetensors.ComposedTensors;
import io.xlstm4j.core.safetensors.ComposedTensors.Rows;
import io.xlstm4j.core.safetensors.QuantizedTensors;
import io.xlstm4j.core.safetensors.TensorSource;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// A checkpoint folder of any layout, open to be read: its configuration, and tensors that were
/// held against it before anything was allocated. See `docs/checkpoint-format.md`.
///
/// Whatever the folder calls its tensors, here they have the names of [ModelTensors#of].
public final class ModelFolder implements AutoCloseable {
  /// Prefixes of names in a base model, which Hugging Face's library saves without `backbone.`.
  private static final List<String> BASE_NAMES = List.of("embeddings.", "blocks.", "out_norm.");

  private static final String QUERY = "mlstm_layer.query.";
  private static final String KEY = "mlstm_layer.key.";
  private static final String VALUE = "mlstm_layer.value.";

  private final Path path;
  private final Layout layout;
  private final CheckpointConfig config;
  private final TensorSource stored;
  private final TensorSource tensors;

  /// The library whose layout a folder has.
  public enum Layout {
    /// ours and Hugging Face's: `config.json`
    CONFIG_JSON,
    /// the official code of the Large family: `config.yaml`
    OFFICIAL
  }

  private ModelFolder(
      Path path,
      Layout layout,
      CheckpointConfig config,
      TensorSource stored,
      TensorSource tensors) {
    this.path = path;
    this.layout = layout;
    this.config = config;
    this.stored = stored;
    this.tensors = tensors;
  }

  /// Opens a folder and checks all that can be checked without reading the weights.
  ///
  /// @throws InvalidInputException if anything about the folder is wrong
  public static ModelFolder open(Path path) {
    CheckpointFolder.open(path);
    CheckpointConfig config = CheckpointConfig.read(path);
    TensorSource stored = TensorSource.openFolder(path);
    try {
      String where = OneLine.of(path);
      TensorSource tensors = renamed(config.model(), stored, layout(path), where);
      config = asStored(config, tensors, layout(path));
      if (QuantizedTensors.isQuantized(tensors)) {
        tensors = new QuantizedTensors(where, tensors);
      }
      requireHead(config.model(), tensors, where);
      ModelTensors.check(config.model(), tensors, where);
      return new ModelFolder(path, layout(path), config, stored, tensors);
    } catch (RuntimeException | Error e) {
      stored.close();
      throw e;
    }
  }

  /// A `config.yaml` says how its own program computes; the tensors say how they are stored.
  private static CheckpointConfig asStored(
      CheckpointConfig config, TensorSource tensors, Layout layout) {
    return layout == Layout.OFFICIAL
            && config.model() instanceof LargeModelConfig large
            && tensors.tensors().containsKey(LargeTensors.FUSED_PROJECTION)
        ? config.withModel(large.withWeightMode(WeightMode.FUSED))
        : config;
  }

  /// Hugging Face's library saves a model without its head as `xLSTMModel`.
  private static void requireHead(ModelConfig model, TensorSource tensors, String where) {
    if (!model.tiesWeights()
        && !tensors.tensors().containsKey(ModelTensors.head())
        && tensors.tensors().containsKey(ModelTensors.embedding(model))) {
      throw new InvalidInputException(
          "%s: tensor %s is missing and tie_word_embeddings is not true: this is a base model (architectures xLSTMModel) that predicts no tokens; save the model with its head (xLSTMForCausalLM)"
              .formatted(where, ModelTensors.head()));
    }
  }

  private static Layout layout(Path path) {
    return Files.exists(path.resolve(CheckpointConfig.FILE_NAME))
        ? Layout.CONFIG_JSON
        : Layout.OFFICIAL;
  }

  private static TensorSource renamed(
      ModelConfig model, TensorSource stored, Layout layout, String where) {
    return switch (model) {
      case PaperModelConfig _ -> stored;
      case LargeModelConfig large -> {
        var names = new LinkedHashMap<String, List<Rows>>();
        for (String name : stored.tensors().keySet()) {
          @Nullable List<Rows> second = names.put(common(name), List.of(Rows.all(name)));
          if (second != null) {
            throw new InvalidInputException(
                "%s: tensors %s and %s are two names of one"
                    .formatted(where, OneLine.of(second.getFirst().tensor()), OneLine.of(name)));
          }
        }
        @Nullable List<Rows> outNorm = names.get(LargeTensors.OUT_NORM + ".weight");
        if (layout == Layout.CONFIG_JSON
            && large.useBias()
            && large.addOutNorm()
            && outNorm
                != null) { // Hugging Face's library has no bias there, whatever use_bias says
          names.putIfAbsent(
              LargeTensors.OUT_NORM + ".bias", List.of(Rows.zeros(outNorm.getFirst().tensor())));
        }
        yield new ComposedTensors(where, stored, names);
      }
    };
  }

  /// The name that we use for a tensor of the Large family (docs/math.md 5).
  private static String common(String name) {
    if (name.equals(LargeTensors.OFFICIAL_EMBEDDING)) {
      return LargeTensors.EMBEDDING;
    }
    String inBackbone =
        BASE_NAMES.stream().anyMatch(name::startsWith) ? LargeTensors.BACKBONE + name : name;
    return inBackbone
        .replace(QUERY, "mlstm_layer.q.") // some versions of Hugging Face's library
        .replace(KEY, "mlstm_layer.k.")
        .replace(VALUE, "mlstm_layer.v.");
  }

  /// The folder that was opened.
  public Path path() {
    return path;
  }

  public Layout layout() {
    return layout;
  }

  /// Returns the configuration in the folder.
  public CheckpointConfig config() {
    return config;
  }

  /// Every tensor by the names and shapes of [ModelTensors#of] this folder's configuration; valid
  /// until this is closed. A tied head may be missing. Matrices stored in 8 bits are in
  /// [QuantizedTensors], and look like float32.
  public TensorSource tensors() {
    return tensors;
  }

  /// The tensors as the files have them: under the names, in the types and with the scales that are
  /// stored; valid until this is closed.
  public TensorSource stored() {
    return stored;
  }

  /// The same numbers as a model of the Large family with that weight mode has them. To take
  /// stacked matrices apart copies nothing.
  ///
  /// @throws IllegalArgumentException if the model is not of the Large family
  public TensorSource tensors(WeightMode mode) {
    if (!(config.model() instanceof LargeModelConfig large)) {
      throw new IllegalArgumentException("only the Large family has weight modes");
    }
    Map<String, List<Rows>> pieces = WeightModes.pieces(large, mode, tensors.tensors().keySet());
    return new ComposedTensors(OneLine.of(path), tensors, pieces);
  }

  /// Frees the tensors. A second call does nothing.
  @Override
  public void close() {
    stored.close();
  }
}
