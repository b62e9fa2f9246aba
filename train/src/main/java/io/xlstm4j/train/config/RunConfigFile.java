package io.xlstm4j.train.config;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// Run configurations as YAML.
public final class RunConfigFile {
  private static final long MAX_BYTES = 1 << 20;

  private static final YAMLMapper YAML =
      YAMLMapper.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
          .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
          .build();

  private RunConfigFile() {}

  /// The keys in a file.
  ///
  /// @throws InvalidInputException if it is missing, too large, or not a YAML mapping
  public static ObjectNode read(Path file) {
    try {
      if (Files.size(file) > MAX_BYTES) {
        throw new InvalidInputException(file + ": too large for a run configuration");
      }
      return parse(Files.readString(file), file.toString());
    } catch (NoSuchFileException e) {
      throw new InvalidInputException(file + ": no such file", e);
    } catch (MalformedInputException e) {
      throw new InvalidInputException(file + ": not UTF-8 text", e);
    } catch (IOException e) {
      throw new InvalidInputException(file + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  /// The keys in a text.
  ///
  /// @throws InvalidInputException if it is not one YAML mapping, or uses anchors and aliases
  public static ObjectNode parse(String yaml, String source) {
    JsonNode tree;
    try {
      refuseAliases(yaml, source);
      tree = YAML.readTree(yaml);
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(
          "%sline %d: not YAML: %s"
              .formatted(RunConfig.prefix(source), e.getLocation().getLineNr(), what(e)),
          e);
    } catch (IOException e) {
      throw new AssertionError("a text can always be read", e);
    }
    if (tree == null || tree.isMissingNode() || tree.isNull()) {
      return YAML.createObjectNode(); // an empty file says nothing
    }
    if (!(tree instanceof ObjectNode object)) {
      throw new InvalidInputException(
          "%sexpected sections such as training:, not %s"
              .formatted(RunConfig.prefix(source), tree.isArray() ? "a list" : "a single value"));
    }
    return object;
  }

  /// The parser would give the name of an anchor where its value was meant.
  private static void refuseAliases(String yaml, String source) throws IOException {
    try (YAMLParser parser = YAML.getFactory().createParser(yaml)) {
      while (parser.nextToken() != null) {
        boolean merges =
            parser.currentToken() == JsonToken.FIELD_NAME && parser.currentName().equals("<<");
        if (parser.isCurrentAlias() || parser.getObjectId() != null || merges) {
          throw new InvalidInputException(
              "%sline %d: anchors and aliases (& and *) are not read here; write the value out"
                  .formatted(RunConfig.prefix(source), parser.currentTokenLocation().getLineNr()));
        }
      }
    }
  }

  /// The line of the parser's message that says what is wrong, not what it was about to do.
  private static String what(JsonProcessingException e) {
    String what =
        e.getOriginalMessage()
            .lines()
            .map(String::strip)
            .filter(line -> !line.startsWith("while ") && !line.startsWith("in '"))
            .findFirst()
            .orElse("unreadable");
    return OneLine.of(what) + (what.contains("\\t") ? "; indent with spaces" : "");
  }

  /// Puts `key=value` pairs with dotted keys into a tree; values are read as YAML.
  ///
  /// @throws InvalidInputException if a pair has no `=` or no key
  public static void override(ObjectNode tree, Iterable<String> pairs) {
    for (String pair : pairs) {
      int equals = pair.indexOf('=');
      if (equals < 1) {
        throw new InvalidInputException(
            "\"" + pair + "\" must be key=value, for example training.steps=100");
      }
      String[] path = pair.substring(0, equals).split("\\.", -1);
      ObjectNode section = tree;
      for (int i = 0; i < path.length - 1; i++) {
        section =
            section.get(path[i]) instanceof ObjectNode known ? known : section.putObject(path[i]);
      }
      JsonNode value = value(pair.substring(equals + 1), pair);
      if (path.length == 1 && RunKeys.isSection(path[0]) && !value.isObject()) {
        throw new InvalidInputException(
            "\"%s\": %s is a section; give one of its keys, such as %s"
                .formatted(OneLine.of(pair), path[0], example(path[0])));
      }
      section.set(path[path.length - 1], value);
    }
  }

  private static String example(String section) {
    return RunKeys.keys(RunConfig.DEFAULT.toTree()).stream()
        .filter(key -> key.startsWith(section + "."))
        .findFirst()
        .orElse(section + ".file");
  }

  private static JsonNode value(String text, String pair) {
    try {
      JsonNode value = YAML.readTree(text);
      return value == null || value.isMissingNode() ? YAML.nullNode() : value;
    } catch (JsonProcessingException e) {
      throw new InvalidInputException("\"" + OneLine.of(pair) + "\": the value is not YAML", e);
    }
  }

  /// 64 hexadecimal digits that differ where two configurations do.
  public static String fingerprint(RunConfig config) {
    try {
      var digest = MessageDigest.getInstance("SHA-256");
      return HexFormat.of().formatHex(digest.digest(toYaml(config).getBytes(UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  /// Readable YAML of a whole configuration.
  public static String toYaml(RunConfig config) {
    try {
      return YAML.writeValueAsString(config.toTree());
    } catch (JsonProcessingException e) {
      throw new AssertionError("a tree can always be written", e);
    }
  }
}
