package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BooleanNode;
import com.fasterxml.jackson.databind.node.NullNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.LargeModelConfig.WeightMode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The keys of a Large-family model in files: Hugging Face's `config.json` and the official
/// `config.yaml`. Both name the fields of [LargeModelConfig] in snake_case; Hugging Face has two
/// names for the sizes, and tokens.
public final class LargeConfigKeys {
  private static final String EOS = "eos_token_ids"; // the component
  private static final String EOS_KEY = "eos_token_id"; // the key: a number, a list or null

  /// Keys that only a `config.json` has.
  private static final List<String> UNOFFICIAL_KEYS =
      List.of("bos_token_id", EOS_KEY, "pad_token_id", "tie_word_embeddings", "context_length");

  /// Hugging Face's second name of a size, by ours.
  private static final Map<String, String> EQUIVALENT_KEYS =
      Map.of("embedding_dim", "hidden_size", "num_blocks", "num_hidden_layers");

  /// Keys that choose kernels and types of the official code, with a value that any installation of
  /// it understands. The types are those that compute as we do.
  private static final Map<String, String> KERNEL_KEYS =
      Map.of(
          "chunkwise_kernel", "chunkwise--native_autograd",
          "sequence_kernel", "native_sequence__native",
          "step_kernel", "native",
          "mode", "inference",
          "autocast_kernel_dtype", "float32",
          "inference_state_dtype", "float32");

  private static final String RETURN_LAST_STATES = "return_last_states";

  /// Kernels of the official code with this in their names compute another function: the input gate
  /// by a sigmoid.
  private static final String OTHER_GATE = "siging";

  private static final List<String> MODES = List.of("train", "train_with_padding", "inference");
  private static final List<String> DTYPES = List.of("float32", "bfloat16", "float16");

  /// Keys of some versions of the released model's configuration that change the function where
  /// they have another value than this.
  private static final Map<String, JsonNode> FIXED_KEYS =
      Map.of(
          "add_qk_norm", BooleanNode.FALSE,
          "add_post_norm", BooleanNode.FALSE,
          "add_post_blocks_norm", BooleanNode.TRUE,
          "quantization_config", NullNode.getInstance());

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
    requireKnownKernels(keys, StrictBinder.prefix(source) + section);
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
      equivalent(keys, name, EQUIVALENT_KEYS.getOrDefault(name, ""), source);
    }
    require(keys, List.of("vocab_size", "embedding_dim", "num_blocks", "num_heads"), source);
    requireFixed(file, source);
    ObjectNode known = toTree(DEFAULT);
    KERNEL_KEYS.keySet().forEach(key -> known.put(key, ""));
    known.put(RETURN_LAST_STATES, true);
    for (Map.Entry<String, JsonNode> entry : file.properties()) {
      String key = entry.getKey();
      if (FIXED_KEYS.containsKey(key)) {
        keys.remove(key); // has the one value that is computed
      } else if (!known.has(key) && !EQUIVALENT_KEYS.containsValue(key)) {
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
    EQUIVALENT_KEYS.forEach((name, equivalent) -> tree.set(equivalent, tree.get(name)));
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
  private static void equivalent(ObjectNode keys, String name, String equivalent, String source) {
    JsonNode second = keys.remove(equivalent);
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
                  source, name, StrictBinder.shown(first), equivalent, StrictBinder.shown(second)));
    }
  }

  private static void require(ObjectNode keys, List<String> names, String source) {
    for (String name : names) {
      if (!keys.has(name)) {
        throw new InvalidInputException(source + ": " + name + " is missing");
      }
    }
  }

  private static void requireFixed(ObjectNode file, String source) {
    FIXED_KEYS.forEach((key, only) -> {
      JsonNode value = file.get(key);
      if (value != null && !value.isNull() && !value.equals(only)) {
        throw new InvalidInputException(
            "%s: %s (%s) must be %s; no other model is computed here"
                .formatted(source, key, StrictBinder.shown(value), only));
      }
    });
  }

  /// The choice among kernels changes no result, but for those that compute another input gate.
  private static void requireKnownKernels(ObjectNode keys, String at) {
    for (String key : List.of("chunkwise_kernel", "sequence_kernel", "step_kernel")) {
      JsonNode kernel = keys.get(key);
      if (kernel != null && (!kernel.isTextual() || kernel.asText().contains(OTHER_GATE))) {
        throw new InvalidInputException(
            "%s%s (%s) must name a kernel of the exponential input gate, such as \"%s\""
                .formatted(at, key, StrictBinder.shown(kernel), KERNEL_KEYS.get(key)));
      }
    }
    requireOneOf(keys, "mode", MODES, at);
    requireOneOf(keys, "autocast_kernel_dtype", DTYPES, at);
    requireOneOf(keys, "inference_state_dtype", DTYPES, at);
    JsonNode last = keys.get(RETURN_LAST_STATES);
    if (last != null && !last.isBoolean()) {
      throw new InvalidInputException(
          "%s%s must be true or false, but is %s"
              .formatted(at, RETURN_LAST_STATES, StrictBinder.shown(last)));
    }
  }

  private static void requireOneOf(ObjectNode keys, String key, List<String> values, String at) {
    JsonNode value = keys.get(key);
    if (value != null && !(value.isTextual() && values.contains(value.asText()))) {
      throw new InvalidInputException(
          "%s%s (%s) must be one of %s".formatted(at, key, StrictBinder.shown(value), values));
    }
  }

  private static void requireNoSlip(String key, ObjectNode known, ObjectNode said, String source) {
    for (Map.Entry<String, JsonNode> candidate : known.properties()) {
      String meant = candidate.getKey();
      boolean tellsMuch = meant.length() > 4 && !meant.endsWith("token_id"); // bos, cls, eos, sep
      if (tellsMuch && !said.has(meant) && Suggestions.distance(key, meant) <= 2) {
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
    tokenIds(eos, EOS_KEY, at).forEach(ids::add);
  }

  /// The ids under a key: a number, a list of them, or null for none.
  ///
  /// @param node null if the key is missing
  /// @param at what a message begins with, such as `config.json: `
  /// @throws InvalidInputException if it is anything else
  public static List<Integer> tokenIds(@Nullable JsonNode node, String key, String at) {
    if (node == null || node.isNull()) {
      return List.of();
    }
    var all = new ArrayList<JsonNode>();
    if (node instanceof ArrayNode several) {
      several.forEach(all::add);
    } else {
      all.add(node);
    }
    var ids = new ArrayList<Integer>();
    for (JsonNode id : all) {
      if (!id.isInt()) {
        throw new InvalidInputException(
            "%s%s must be a whole number, a list of them or null, but is %s"
                .formatted(at, key, StrictBinder.shown(node)));
      }
      ids.add(id.asInt());
    }
    return ids;
  }

  private static JsonNode eosAsKey(JsonNode ids) {
    return switch (ids.size()) {
      case 0 -> ids.isArray() ? ((ArrayNode) ids).nullNode() : ids;
      case 1 -> ids.get(0);
      default -> ids;
    };
  }
}
