package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// The keys of a sequence model in `config.json`: its own beside those of the paper family's stack.
public final class SequenceConfigKeys {
  private static final String MODEL_TYPE = "model_type";
  private static final String STACK = "block_stack";
  private static final List<String> OWN = List.of("inputs", "outputs", "pooling", "loss");
  private static final List<String> REQUIRED =
      List.of("inputs", "outputs", "num_blocks", "embedding_dim");

  private static final SequenceModelConfig DEFAULT =
      new SequenceModelConfig(
          1,
          1,
          SequenceModelConfig.Pooling.LAST,
          SequenceLossConfig.mse(),
          BlockStackConfig.of(1, 128, List.of()));

  private SequenceConfigKeys() {}

  /// Returns whether the `config.json` of a folder is that of a sequence model; if it is missing or
  /// cannot be read, it is not.
  public static boolean describe(Path folder) {
    Path file = folder.resolve(CheckpointConfig.FILE_NAME);
    if (!Files.isRegularFile(file)) {
      return false;
    }
    try {
      JsonNode type =
          StrictBinder.parse(CheckpointConfig.text(folder, file), file.toString()).get(MODEL_TYPE);
      return type != null && type.asText().equals(SequenceModelConfig.MODEL_TYPE);
    } catch (InvalidInputException e) {
      return false; // whoever opens it says what is wrong
    }
  }

  /// Reads `config.json` of a folder.
  ///
  /// @throws InvalidInputException if it is missing, wrong, or of a language model
  public static SequenceModelConfig read(Path folder) {
    Path file = folder.resolve(CheckpointConfig.FILE_NAME);
    return parse(CheckpointConfig.text(folder, file), file.toString());
  }

  /// Reads the text of a `config.json`.
  ///
  /// @param source the name of the file, for messages
  public static SequenceModelConfig parse(String json, String source) {
    ObjectNode tree = StrictBinder.parse(json, source);
    JsonNode type = tree.remove(MODEL_TYPE);
    if (type == null || !type.asText().equals(SequenceModelConfig.MODEL_TYPE)) {
      throw new InvalidInputException(
          "%s: model_type is %s, must be %s for a model of sequences"
              .formatted(
                  source,
                  type == null ? "missing" : StrictBinder.shown(type),
                  SequenceModelConfig.MODEL_TYPE));
    }
    for (String required : REQUIRED) {
      if (!tree.has(required)) {
        throw new InvalidInputException(source + ": " + required + " is missing");
      }
    }
    return bind(tree, DEFAULT, source);
  }

  /// Lays the keys somebody wrote over `defaults`.
  ///
  /// @throws InvalidInputException as `StrictBinder.merge` and `toRecord`
  public static SequenceModelConfig bind(
      ObjectNode said, SequenceModelConfig defaults, String source) {
    ObjectNode flat = toTree(defaults);
    ObjectNode merged =
        StrictBinder.merge(flat, PaperConfigKeys.expanded(said, flat, source, ""), source);
    ObjectNode nested = merged.objectNode();
    ObjectNode stack = merged.objectNode();
    for (var entry : merged.properties()) {
      (OWN.contains(entry.getKey()) ? nested : stack).set(entry.getKey(), entry.getValue());
    }
    nested.set(STACK, stack);
    return StrictBinder.toRecord(nested, SequenceModelConfig.class, source);
  }

  /// Lays keys of the stack alone over `defaults`.
  ///
  /// @param section what its keys begin with in messages, such as `model.`; may be empty
  /// @throws InvalidInputException as `StrictBinder.merge` and `toRecord`
  public static BlockStackConfig bindStack(
      ObjectNode said, BlockStackConfig defaults, String source, String section) {
    ObjectNode flat = StrictBinder.toTree(defaults);
    ObjectNode merged =
        StrictBinder.merge(
            flat, PaperConfigKeys.expanded(said, flat, source, section), source, section);
    return StrictBinder.toRecord(merged, BlockStackConfig.class, source, section);
  }

  /// The keys of a configuration, flat.
  public static ObjectNode toTree(SequenceModelConfig config) {
    ObjectNode tree = StrictBinder.toTree(config);
    ObjectNode stack = (ObjectNode) tree.remove(STACK);
    tree.setAll(stack);
    return tree;
  }

  /// The text of `config.json`: every key, defaults included.
  public static String toJson(SequenceModelConfig config) {
    ObjectNode tree = toTree(config);
    ObjectNode file = tree.objectNode().put(MODEL_TYPE, SequenceModelConfig.MODEL_TYPE);
    file.setAll(tree);
    return StrictBinder.toJson(file);
  }
}
