package io.xlstm4j.train.config;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.xlstm4j.core.InvalidInputException;
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
      throw new InvalidInputException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /// The keys in a text.
  public static ObjectNode parse(String yaml, String source) {
    JsonNode tree;
    try {
      tree = YAML.readTree(yaml);
    } catch (JsonProcessingException e) {
      String what = e.getOriginalMessage().lines().findFirst().orElse("unreadable");
      throw new InvalidInputException(
          "%s: line %d: not YAML: %s".formatted(source, e.getLocation().getLineNr(), what), e);
    }
    if (tree == null || tree.isMissingNode() || tree.isNull()) {
      return YAML.createObjectNode(); // an empty file says nothing
    }
    if (!(tree instanceof ObjectNode object)) {
      throw new InvalidInputException(source + ": expected sections such as training:, not a list");
    }
    return object;
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
      section.set(path[path.length - 1], value(pair.substring(equals + 1), pair));
    }
  }

  private static JsonNode value(String text, String pair) {
    try {
      JsonNode value = YAML.readTree(text);
      return value == null || value.isMissingNode() ? YAML.nullNode() : value;
    } catch (JsonProcessingException e) {
      throw new InvalidInputException("\"" + pair + "\": the value is not YAML", e);
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
