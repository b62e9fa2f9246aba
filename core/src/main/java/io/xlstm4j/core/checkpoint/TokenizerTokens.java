package io.xlstm4j.core.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.NullNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A few special tokens of a `tokenizer.json`, read in one pass that keeps no vocabulary.
///
/// @param added ids of added tokens by their text
/// @param words pieces of the model's vocabulary that were asked for: id by text
/// @param prefix the ids that the post-processor sets before a text
record TokenizerTokens(
    Map<String, Integer> added, Map<String, Integer> words, List<Integer> prefix) {
  static final String FILE_NAME = "tokenizer.json";

  private static final int MAX_DEPTH = 100;

  private static final JsonFactory FACTORY =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(MAX_DEPTH).build())
          .build();
  private static final ObjectMapper MAPPER = new ObjectMapper(FACTORY);

  /// @param names pieces whose ids are wanted
  /// @param ids ids whose pieces are wanted
  /// @throws InvalidInputException if the file cannot be read or is not JSON
  static TokenizerTokens read(Path file, Set<String> names, Set<Integer> ids) {
    var added = new HashMap<String, Integer>();
    var words = new HashMap<String, Integer>();
    JsonNode post = NullNode.getInstance();
    try (var in = Files.newInputStream(file);
        JsonParser json = FACTORY.createParser(in)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw new InvalidInputException(OneLine.of(file) + ": must hold a JSON object");
      }
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String key = json.currentName();
        json.nextToken();
        switch (key) {
          case "added_tokens" -> addAll(MAPPER.readTree(json), added);
          case "post_processor" -> post = MAPPER.readTree(json);
          case "model" -> readModel(json, names, ids, words);
          default -> json.skipChildren();
        }
      }
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": not JSON: " + OneLine.of(firstLine(e)), e);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(file) + ": cannot be read: " + OneLine.reason(e), e);
    }
    var prefix = new ArrayList<Integer>();
    addPrefix(post, added, prefix);
    return new TokenizerTokens(added, words, List.copyOf(prefix));
  }

  private static String firstLine(JsonProcessingException e) {
    return e.getOriginalMessage().lines().findFirst().orElse("unreadable");
  }

  private static void addAll(JsonNode list, Map<String, Integer> added) {
    for (JsonNode token : list) {
      if (token.path("id").isInt() && token.path("content").isTextual()) {
        added.put(token.path("content").asText(), token.path("id").asInt());
      }
    }
  }

  private static void readModel(
      JsonParser json, Set<String> names, Set<Integer> ids, Map<String, Integer> words)
      throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      json.skipChildren();
      return;
    }
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String key = json.currentName();
      JsonToken value = json.nextToken();
      if (key.equals("vocab") && value == JsonToken.START_OBJECT) {
        readVocabulary(json, names, ids, words);
      } else if (key.equals("vocab") && value == JsonToken.START_ARRAY) {
        readPieces(json, names, ids, words);
      } else {
        json.skipChildren();
      }
    }
  }

  /// Ids by text.
  private static void readVocabulary(
      JsonParser json, Set<String> names, Set<Integer> ids, Map<String, Integer> words)
      throws IOException {
    while (json.nextToken() == JsonToken.FIELD_NAME) {
      String piece = json.currentName();
      if (json.nextToken() == JsonToken.VALUE_NUMBER_INT) {
        keep(piece, json.getValueAsInt(-1), names, ids, words);
      } else {
        json.skipChildren();
      }
    }
  }

  /// A list of pieces with their scores.
  private static void readPieces(
      JsonParser json, Set<String> names, Set<Integer> ids, Map<String, Integer> words)
      throws IOException {
    for (int id = 0; json.nextToken() != JsonToken.END_ARRAY; id++) {
      if (json.currentToken() == JsonToken.START_ARRAY
          && json.nextToken() == JsonToken.VALUE_STRING) {
        keep(json.getText(), id, names, ids, words);
        while (json.nextToken() != JsonToken.END_ARRAY) {
          json.skipChildren();
        }
      } else {
        json.skipChildren();
      }
    }
  }

  private static void keep(
      String piece, int id, Set<String> names, Set<Integer> ids, Map<String, Integer> words) {
    if (names.contains(piece) || ids.contains(id)) {
      words.put(piece, id);
    }
  }

  /// The id of a token, added or of the vocabulary, or null.
  @Nullable Integer id(String text) {
    Integer id = added.get(text);
    return id == null ? words.get(text) : id;
  }

  /// The text of an id that was asked for, or null if no token has it.
  @Nullable String text(int id) {
    for (Map<String, Integer> tokens : List.of(added, words)) {
      for (Map.Entry<String, Integer> token : tokens.entrySet()) {
        if (token.getValue() == id) {
          return token.getKey();
        }
      }
    }
    return null;
  }

  /// Special tokens before the text in the template of a single text.
  private static void addPrefix(JsonNode post, Map<String, Integer> added, List<Integer> to) {
    switch (post.path("type").asText()) {
      case "Sequence" -> post.path("processors").forEach(part -> addPrefix(part, added, to));
      case "BertProcessing", "RobertaProcessing" -> {
        JsonNode id = post.path("cls").path(1);
        if (id.isInt()) {
          to.add(id.asInt());
        }
      }
      case "TemplateProcessing" -> {
        for (JsonNode piece : post.path("single")) {
          JsonNode special = piece.path("SpecialToken").path("id");
          if (!special.isTextual()) {
            return; // the text itself
          }
          JsonNode ids = post.path("special_tokens").path(special.asText()).path("ids");
          for (JsonNode id : ids) {
            if (id.isInt()) {
              to.add(id.asInt());
            }
          }
        }
      }
      default -> {} // ByteLevel and the like add no tokens
    }
  }
}
