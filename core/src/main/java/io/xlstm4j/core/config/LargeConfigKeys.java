package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The keys of a Large-family model in files: Hugging Face's `config.json` and the official
/// `config.yaml`. Both name the fields of [LargeModelConfig] in snake_case; Hugging Face has two
/// names for the sizes, and tokens.
public final class LargeConfigKeys {
  private static final String EOS = "eos_token_ids"; // the component
  private static final String EOS_KEY = "eos_token_id"; // the key: a number, a list or null

  /// What only a `config.json` has.
  private static final List<String> UNOFFICIAL_KEYS =
      List.of("bos_token_id", EOS_KEY, "pad_token_id", "tie_word_embeddings", "context_length");

  /// Hugging Face's second name of a size, by ours.
  private static final Map<String, String> TWIN_KEYS =
      Map.of("embedding_dim", "hidden_size", "num_blocks", "num_hidden_layers");

  /// What chooses kernels and types of the official code, with a value that any installation of it
  /// understands. The types are those that compute as we do.
  private static final Map<String, String> KERNEL_KEYS =
      Map.of(
          "chunkwise_kernel", "chunkwise--native_autograd",
          "sequence_kernel", "native_sequence__native",
          "step_kernel", "native",
          "mode", "inference",
          "autocast_kernel_dtype", "float32",
          "inference_state_dtype", "float32");

  private static final String RETURN_LAST_STATES = "return_last_states";

  /// A model with every default of `config.json`; whoever binds a file also requires the sizes.
  public static final LargeModelConfig DEFAULT = LargeModelConfig.of(256, 128, 1, 4);

  private LargeConfigKeys() {}

  /// Lays the keys of a run's configuration over `defaults`; every key must be known.
  ///
  /// @throws InvalidInputException as `StrictBinder.merge` and `toRecord`
  public static LargeModelConfig bind(ObjectNode said, LargeModelConfig defaults, String source) {
    return bind(said, defaults, source, "");
  }

  /// The same for a section.
  ///
  /// @param section what its keys begin with in messages, such as `model.`; may be empty
  public static LargeModelConfig bind(
      ObjectNode said, LargeModelConfig defaults, String source, String section) {
    ObjectNode keys = said.deepCopy();
    eosAsList(keys, StrictBinder.prefix(source) + section);
    keys.remove(KERNEL_KEYS.keySet());
    keys.remove(RETURN_LAST_STATES);
    ObjectNode merged = StrictBinder.merge(StrictBinder.toTree(defaults), keys, source, section);
    return StrictBinder.toRecord(merged, LargeModelConfig.class, source, section);
  }

  /// The keys of a run's configuration.
  public static ObjectNode toTree(LargeModelConfig config) {
    ObjectNode tree = StrictBinder.toTree(config);
    tree.set(EOS_KEY, eosAsKey(tree.remove(EOS)));
    return tree;
  }

  /// Reads a `config.json` without its `model_type`.
  ///
  /// Keys that nobody here knows are passed over, because every version of the Hugging Face library
  /// writes others; but not those that look like a slip of the pen in a key that is missing.
  ///
  /// @throws InvalidInputException if a size is missing, or given twice and not the same, if a key
  ///   has the wrong type, or if a value is refused
  static LargeModelConfig ofHuggingFace(ObjectNode file, String source) {
    ObjectNode keys = file.deepCopy();
    for (String name : List.of("embedding_dim", "num_blocks")) {
      twin(keys, name, TWIN_KEYS.getOrDefault(name, ""), source);
    }
    require(keys, List.of("vocab_size", "embedding_dim", "num_blocks", "num_heads"), source);
    ObjectNode known = toTree(DEFAULT);
    for (Map.Entry<String, JsonNode> entry : file.properties()) {
      String key = entry.getKey();
      if (!known.has(key) && !TWIN_KEYS.containsValue(key)) {
        requireNoSlip(key, known, keys, source);
        keys.remove(key);
      }
    }
    return bind(keys, DEFAULT, source);
  }

  /// Reads an official `config.yaml`: every key must be known there. The official code takes the
  /// stored weights as single ones whatever the file says.
  static LargeModelConfig ofOfficial(ObjectNode file, String source) {
    require(file, List.of("vocab_size", "embedding_dim", "num_blocks", "num_heads"), source);
    for (String key : UNOFFICIAL_KEYS) {
      if (file.has(key)) {
        throw new InvalidInputException(
            source + ": unknown key " + key + "; it belongs into a config.json");
      }
    }
    ObjectNode keys = file.deepCopy();
    if (!keys.has("ffn_proj_factor")) {
      keys.put("ffn_proj_factor", 2.6667); // where the two formats differ
    }
    return bind(keys, DEFAULT, source).withWeightMode(WeightMode.SINGLE);
  }

  /// The content of a `config.json` that Hugging Face's library opens, without our additions.
  ///
  /// @param dtype the type of the stored weights: float32, bfloat16 or float16
  static ObjectNode toHuggingFace(LargeModelConfig config, String dtype) {
    ObjectNode tree = toTree(config);
    tree.putArray("architectures").add("xLSTMForCausalLM");
    tree.put("dtype", dtype);
    TWIN_KEYS.forEach((name, twin) -> tree.set(twin, tree.get(name)));
    addKernelKeys(tree);
    return tree;
  }

  /// The content of an official `config.yaml`.
  static ObjectNode toOfficial(LargeModelConfig config) {
    ObjectNode tree = StrictBinder.toTree(config);
    tree.remove(EOS);
    tree.remove(UNOFFICIAL_KEYS);
    addKernelKeys(tree);
    return tree;
  }

  private static void addKernelKeys(ObjectNode tree) {
    KERNEL_KEYS.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(entry -> tree.put(entry.getKey(), entry.getValue()));
    tree.put(RETURN_LAST_STATES, true);
  }

  /// Two names of one size become one.
  private static void twin(ObjectNode keys, String name, String twin, String source) {
    JsonNode second = keys.remove(twin);
    if (second == null || second.isNull()) {
      return;
    }
    JsonNode first = keys.get(name);
    if (first == null || first.isNull()) {
      keys.set(name, second);
    } else if (!first.equals(second)) {
      throw new InvalidInputException(
          "%s: %s (%s) and %s (%s) are two names of one size and must be equal"
              .formatted(
                  source, name, StrictBinder.shown(first), twin, StrictBinder.shown(second)));
    }
  }

  private static void require(ObjectNode keys, List<String> names, String source) {
    for (String name : names) {
      if (!keys.has(name)) {
        throw new InvalidInputException(source + ": " + name + " is missing");
      }
    }
  }

  private static void requireNoSlip(String key, ObjectNode known, ObjectNode said, String source) {
    for (Map.Entry<String, JsonNode> candidate : known.properties()) {
      String meant = candidate.getKey();
      boolean tellsMuch = meant.length() > 4 && !meant.endsWith("token_id"); // bos, cls, eos, sep
      if (tellsMuch && !said.has(meant) && Nearest.distance(key, meant) <= 2) {
        throw new InvalidInputException(
            source + ": unknown key " + OneLine.of(key) + "; did you mean " + meant + "?");
      }
    }
  }

  private static void eosAsList(ObjectNode keys, String at) {
    JsonNode eos = keys.remove(EOS_KEY);
    if (eos == null) {
      return;
    }
    ArrayNode ids = keys.putArray(EOS);
    var all = new ArrayList<JsonNode>();
    if (eos instanceof ArrayNode several) {
      several.forEach(all::add);
    } else if (!eos.isNull()) {
      all.add(eos);
    }
    for (JsonNode id : all) {
      if (!id.isInt()) {
        throw new InvalidInputException(
            "%s%s must be a whole number, a list of them or null, but is %s"
                .formatted(at, EOS_KEY, StrictBinder.shown(eos)));
      }
      ids.add(id);
    }
  }

  private static JsonNode eosAsKey(JsonNode ids) {
    return switch (ids.size()) {
      case 0 -> ids.isArray() ? ((ArrayNode) ids).nullNode() : ids;
      case 1 -> ids.get(0);
      default -> ids;
    };
  }
}
