package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.RecordComponents;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A checkpoint's `config.json`, or the `config.yaml` of an official Large folder: which model, and
/// which built-in tokenizer if the folder has no `tokenizer.json`.
///
/// @param tokenizer name of a built-in tokenizer, or null
/// @param eosTokenIds the tokens that end a text; of the Large family always those of the model
/// @param addBosToken whether every text begins with `bos_token_id`, or without one with the token
///   that ends a text, as documents of a training run here do; null if the file does not say it
public record CheckpointConfig(
    ModelConfig model,
    @Nullable String tokenizer,
    List<Integer> eosTokenIds,
    @Nullable Boolean addBosToken) {
  public static final String FILE_NAME = "config.json";

  /// The file's name in the official code of the Large family.
  public static final String OFFICIAL_FILE_NAME = "config.yaml";

  /// The key of [#addBosToken]; tokenizers of Hugging Face's library have one of that name.
  public static final String ADD_BOS_TOKEN = "add_bos_token";

  /// The key of [#eosTokenIds]: a number or a list of them.
  public static final String EOS_TOKEN_ID = "eos_token_id";

  private static final List<String> TYPES =
      List.of(PaperModelConfig.MODEL_TYPE, LargeModelConfig.MODEL_TYPE);

  /// No configuration is larger; a file that claims to be one is refused unread.
  private static final long MAX_BYTES = 1 << 20;

  public CheckpointConfig {
    eosTokenIds =
        model instanceof LargeModelConfig large ? large.eosTokenIds() : List.copyOf(eosTokenIds);
    for (int id : eosTokenIds) {
      if (id < 0 || id >= model.vocabSize()) {
        throw new IllegalArgumentException(
            "%s (%d) must be in [0, vocab_size (%d))"
                .formatted(EOS_TOKEN_ID, id, model.vocabSize()));
      }
    }
  }

  /// A configuration that says nothing about where a text begins.
  public CheckpointConfig(ModelConfig model, @Nullable String tokenizer) {
    this(model, tokenizer, List.of(), null);
  }

  /// The configuration of a model that was trained on documents which begin and end with one token.
  ///
  /// @param endOfText the token between documents
  public static CheckpointConfig ofDocuments(
      ModelConfig model, @Nullable String tokenizer, int endOfText) {
    return new CheckpointConfig(model, tokenizer, List.of(endOfText), true);
  }

  /// The same with another rule of where a text begins.
  public CheckpointConfig withAddBosToken(@Nullable Boolean add) {
    return new CheckpointConfig(model, tokenizer, eosTokenIds, add);
  }

  /// The same for another model with the same vocabulary.
  public CheckpointConfig withModel(ModelConfig other) {
    return new CheckpointConfig(other, tokenizer, eosTokenIds, addBosToken);
  }

  /// Reads `config.json` of a folder, or `config.yaml` if there is no other.
  ///
  /// @throws InvalidInputException if it is missing, not JSON, of an unknown `model_type`, or wrong
  public static CheckpointConfig read(Path folder) {
    Path json = folder.resolve(FILE_NAME);
    Path yaml = folder.resolve(OFFICIAL_FILE_NAME);
    return Files.exists(yaml) && !Files.exists(json)
        ? parseOfficial(text(folder, yaml), yaml.toString())
        : parse(text(folder, json), json.toString());
  }

  static String text(Path folder, Path file) {
    return text(folder, file, MAX_BYTES);
  }

  /// The whole text of a configuration file of a folder.
  ///
  /// @param maxBytes a larger file is refused unread
  /// @throws InvalidInputException if it is missing, too large, or not UTF-8
  public static String text(Path folder, Path file, long maxBytes) {
    try {
      if (Files.size(file) > maxBytes) {
        throw new InvalidInputException(
            file + ": " + Files.size(file) + " bytes are too many for a configuration");
      }
      return Files.readString(file);
    } catch (NoSuchFileException e) {
      throw new InvalidInputException(folder + ": no " + FILE_NAME + " here; not a checkpoint", e);
    } catch (MalformedInputException e) {
      throw new InvalidInputException(file + ": not UTF-8 text", e);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  /// Reads the text of a `config.json`.
  ///
  /// @param source the name of the file, for messages
  public static CheckpointConfig parse(String json, String source) {
    ObjectNode tree = StrictBinder.parse(json, source);
    JsonNode type = tree.remove("model_type");
    if (type != null && type.asText().equals(SequenceModelConfig.MODEL_TYPE)) {
      throw new InvalidInputException(
          "%s: model_type is %s, a model of series; it has no tokens, use xlstm forecast"
              .formatted(source, SequenceModelConfig.MODEL_TYPE));
    }
    if (type == null || !TYPES.contains(type.asText())) {
      throw new InvalidInputException(
          "%s: model_type is %s, must be one of %s"
              .formatted(source, type == null ? "missing" : StrictBinder.shown(type), TYPES));
    }
    JsonNode tokenizer = tree.remove("tokenizer");
    if (tokenizer != null && !tokenizer.isTextual() && !tokenizer.isNull()) {
      throw new InvalidInputException(
          source + ": tokenizer must be a word, but is " + StrictBinder.shown(tokenizer));
    }
    JsonNode addBos = tree.remove(ADD_BOS_TOKEN);
    if (addBos != null && !addBos.isBoolean() && !addBos.isNull()) {
      throw new InvalidInputException(
          "%s: %s must be true or false, but is %s"
              .formatted(source, ADD_BOS_TOKEN, StrictBinder.shown(addBos)));
    }
    boolean large = type.asText().equals(LargeModelConfig.MODEL_TYPE);
    JsonNode eos = large ? null : tree.remove(EOS_TOKEN_ID);
    ModelConfig model = large ? LargeConfigKeys.ofHuggingFace(tree, source) : paper(tree, source);
    try {
      return new CheckpointConfig(
          model,
          tokenizer == null || tokenizer.isNull() ? null : tokenizer.asText(),
          LargeConfigKeys.tokenIds(eos, EOS_TOKEN_ID, source + ": "),
          (addBos == null || addBos.isNull()) ? null : addBos.asBoolean());
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(source + ": " + e.getMessage(), e);
    }
  }

  private static PaperModelConfig paper(ObjectNode tree, String source) {
    for (String required : new String[] {"vocab_size", "num_blocks", "embedding_dim"}) {
      if (!tree.has(required)) {
        throw new InvalidInputException(source + ": " + required + " is missing");
      }
    }
    return PaperConfigKeys.bind(tree, PaperConfigKeys.DEFAULT, source);
  }

  /// Reads the text of an official `config.yaml`, which only the Large family has.
  ///
  /// @param source the name of the file, for messages
  public static CheckpointConfig parseOfficial(String yaml, String source) {
    return new CheckpointConfig(
        LargeConfigKeys.ofOfficial(StrictBinder.parseYaml(yaml, source), source), null);
  }

  /// The text of `config.json` beside float32 weights.
  public String toJson() {
    return toJson("float32");
  }

  /// The text of `config.json`: every key, defaults included.
  ///
  /// @param weightType of the stored weights: float32, bfloat16 or float16
  public String toJson(String weightType) {
    ObjectNode tree =
        switch (model) {
          case PaperModelConfig paper -> PaperConfigKeys.toTree(paper);
          case LargeModelConfig large -> LargeConfigKeys.toHuggingFace(large, weightType);
        };
    ObjectNode file = tree.objectNode();
    file.put("model_type", model.modelType());
    if (tokenizer != null) {
      file.put("tokenizer", tokenizer);
    }
    file.setAll(tree);
    if (model instanceof PaperModelConfig && !eosTokenIds.isEmpty()) {
      if (eosTokenIds.size() == 1) {
        file.put(EOS_TOKEN_ID, eosTokenIds.getFirst());
      } else {
        eosTokenIds.forEach(file.putArray(EOS_TOKEN_ID)::add);
      }
    }
    if (addBosToken != null) {
      file.put(ADD_BOS_TOKEN, addBosToken);
    }
    return StrictBinder.toJson(file);
  }

  /// The text of an official `config.yaml`; it has no place for a tokenizer.
  ///
  /// @throws InvalidInputException if the model is of another family, or ties its weights
  public String toOfficialYaml() {
    if (!(model instanceof LargeModelConfig large)) {
      throw new InvalidInputException(
          "the official layout is of the Large family, but the model is of type "
              + model.modelType());
    }
    return StrictBinder.toYaml(LargeConfigKeys.toOfficial(large));
  }

  public CheckpointConfig withTokenizer(@Nullable String value) {
    return RecordComponents.with(this, "tokenizer", value);
  }

  public CheckpointConfig withEosTokenIds(List<Integer> value) {
    return RecordComponents.with(this, "eosTokenIds", value);
  }
}
