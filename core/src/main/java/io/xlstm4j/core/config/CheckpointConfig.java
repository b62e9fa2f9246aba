package io.xlstm4j.core.config;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/// A checkpoint's `config.json`: which model, and which built-in tokenizer if the folder has no
/// `tokenizer.json`.
///
/// @param tokenizer name of a built-in tokenizer, or null
public record CheckpointConfig(ModelConfig model, @Nullable String tokenizer) {
  public static final String FILE_NAME = "config.json";

  /// No configuration is larger; a file that claims to be one is refused unread.
  private static final long MAX_BYTES = 1 << 20;

  /// Reads `config.json` of a folder.
  ///
  /// @throws InvalidInputException if it is missing, not JSON, of an unknown `model_type`, or wrong
  public static CheckpointConfig read(Path folder) {
    Path file = folder.resolve(FILE_NAME);
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new InvalidInputException(
            file + ": " + Files.size(file) + " bytes are too many for a configuration");
      }
      return parse(Files.readString(file), file.toString());
    } catch (NoSuchFileException e) {
      throw new InvalidInputException(folder + ": no " + FILE_NAME + " here; not a checkpoint", e);
    } catch (MalformedInputException e) {
      throw new InvalidInputException(file + ": not UTF-8 text", e);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + e, e);
    }
  }

  /// Reads the text of a `config.json`.
  ///
  /// @param source the name of the file, for messages
  public static CheckpointConfig parse(String json, String source) {
    ObjectNode tree = StrictBinder.parse(json, source);
    JsonNode type = tree.remove("model_type");
    if (type == null || !type.asText().equals(PaperModelConfig.MODEL_TYPE)) {
      throw new InvalidInputException(
          "%s: model_type is %s, must be \"%s\""
              .formatted(source, type == null ? "missing" : type, PaperModelConfig.MODEL_TYPE));
    }
    JsonNode tokenizer = tree.remove("tokenizer");
    if (tokenizer != null && !tokenizer.isTextual() && !tokenizer.isNull()) {
      throw new InvalidInputException(source + ": tokenizer must be a word, but is " + tokenizer);
    }
    for (String required : new String[] {"vocab_size", "num_blocks", "embedding_dim"}) {
      if (!tree.has(required)) {
        throw new InvalidInputException(source + ": " + required + " is missing");
      }
    }
    return new CheckpointConfig(
        PaperConfigKeys.bind(tree, PaperConfigKeys.DEFAULT, source),
        tokenizer == null || tokenizer.isNull() ? null : tokenizer.asText());
  }

  /// The text of `config.json`: every key, defaults included.
  public String toJson() {
    ObjectNode tree =
        switch (model) {
          case PaperModelConfig paper -> PaperConfigKeys.toTree(paper);
        };
    ObjectNode file = tree.objectNode();
    file.put("model_type", model.modelType());
    if (tokenizer != null) {
      file.put("tokenizer", tokenizer);
    }
    file.setAll(tree);
    return StrictBinder.toJson(file);
  }
}
