package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.util.List;

/// The keys of a paper-family model in files: those of the official `config.yaml`, so the stack's
/// stand beside the model's.
public final class PaperConfigKeys {
  private static final String STACK = "block_stack";

  /// Official keys that nothing here depends on; they are accepted and ignored where the official
  /// configuration has them.
  private static final List<String> INERT_CELL_KEYS =
      List.of(
          "hidden_size",
          "embedding_dim",
          "num_states",
          "num_gates",
          "batch_size",
          "input_shape",
          "internal_input_shape",
          "output_shape",
          "constants",
          "dtype",
          "dtype_b",
          "dtype_r",
          "dtype_w",
          "dtype_g",
          "dtype_s",
          "dtype_a",
          "enable_automatic_mixed_precision",
          "initial_val",
          "dropout",
          "_block_idx",
          "_num_blocks");

  private static final List<String> INERT_LAYER_KEYS =
      List.of(
          "embedding_dim",
          "context_length",
          "bias",
          "dropout",
          "_proj_up_dim",
          "_inner_embedding_dim",
          "_num_blocks");

  private static final List<String> INERT_FEEDFORWARD_KEYS =
      List.of("embedding_dim", "ff_type", "_proj_up_dim", "_num_blocks");

  private static final List<String> INERT_BLOCK_KEYS = List.of("_num_blocks", "_block_idx");

  /// A model with every default; whoever binds a file also requires the sizes.
  public static final PaperModelConfig DEFAULT =
      PaperModelConfig.of(256, BlockStackConfig.of(1, 128, List.of()));

  private PaperConfigKeys() {}

  /// The keys of a configuration, flat as in the official file.
  public static ObjectNode toTree(PaperModelConfig config) {
    ObjectNode tree = StrictBinder.toTree(config);
    ObjectNode stack = (ObjectNode) tree.remove(STACK);
    tree.setAll(stack);
    return tree;
  }

  /// Lays the keys somebody wrote over `defaults`.
  ///
  /// @throws InvalidInputException as `StrictBinder.merge` and `toRecord`
  public static PaperModelConfig bind(ObjectNode said, PaperModelConfig defaults, String source) {
    return bind(said, defaults, source, "");
  }

  /// The same for a section.
  ///
  /// @param section what its keys begin with in messages, such as `model.`; may be empty
  public static PaperModelConfig bind(
      ObjectNode said, PaperModelConfig defaults, String source, String section) {
    ObjectNode flat = toTree(defaults);
    ObjectNode merged =
        StrictBinder.merge(flat, expanded(said, flat, source, section), source, section);
    ObjectNode nested = merged.objectNode();
    ObjectNode stack = nested.putObject(STACK);
    ObjectNode stackKeys = StrictBinder.toTree(defaults.blockStack());
    for (var entry : merged.properties()) {
      (stackKeys.has(entry.getKey()) ? stack : nested).set(entry.getKey(), entry.getValue());
    }
    return StrictBinder.toRecord(nested, PaperModelConfig.class, source, section);
  }

  /// Returns the given keys without those that nothing depends on and with `slstm_at: all` spelt
  /// out.
  ///
  /// @param flat the defaults
  static ObjectNode expanded(ObjectNode said, ObjectNode flat, String source, String section) {
    String at = StrictBinder.prefix(source) + section;
    ObjectNode keys = said.deepCopy();
    dropInert(keys, at);
    JsonNode everywhere = keys.get("slstm_at");
    if (everywhere != null && everywhere.isTextual()) {
      if (!everywhere.asText().equals("all")) {
        throw new InvalidInputException(
            at + "slstm_at must be a list of block indices or \"all\", but is " + everywhere);
      }
      JsonNode blocks =
          keys.path("num_blocks").isInt() ? keys.get("num_blocks") : flat.get("num_blocks");
      ArrayNode all = keys.putArray("slstm_at");
      for (int i = 0; i < blocks.asInt() && i < 1 << 20; i++) {
        all.add(i);
      }
    }
    return keys;
  }

  private static void dropInert(ObjectNode keys, String at) {
    if (keys.get("mlstm_block") instanceof ObjectNode block) {
      block.remove(INERT_BLOCK_KEYS);
      if (block.get("mlstm") instanceof ObjectNode layer) {
        layer.remove(INERT_LAYER_KEYS);
      }
    }
    if (keys.get("slstm_block") instanceof ObjectNode block) {
      block.remove(INERT_BLOCK_KEYS);
      if (block.get("slstm") instanceof ObjectNode layer) {
        layer.remove(INERT_CELL_KEYS);
      }
      if (block.get("feedforward") instanceof ObjectNode feedforward) {
        JsonNode type = feedforward.get("ff_type");
        if (type != null && !type.asText().equals("ffn_gated")) {
          throw new InvalidInputException(
              at + "slstm_block.feedforward.ff_type must be \"ffn_gated\", but is " + type);
        }
        feedforward.remove(INERT_FEEDFORWARD_KEYS);
      }
    }
  }
}
