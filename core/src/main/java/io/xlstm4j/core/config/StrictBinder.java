package io.xlstm4j.core.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.exc.InvalidFormatException;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.LongNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Turns a tree of keys into a record: omitted keys keep their defaults, an unknown key is an error
/// that suggests the nearest key, what has the wrong type is an error that shows it.
///
/// Keys are the record components in snake_case.
public final class StrictBinder {
  private static final double EXACT = 1L << 53; // from there on a double may have been rounded

  private static final JsonMapper MAPPER =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .enable(SerializationFeature.WRITE_ENUMS_USING_TO_STRING)
          .enable(DeserializationFeature.READ_ENUMS_USING_TO_STRING)
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES)
          .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
          .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
          .build();

  /// A class of its own: most programs never read YAML, and need not load its parser.
  private static final class Yaml {
    static final YAMLMapper MAPPER =
        YAMLMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(YAMLGenerator.Feature.MINIMIZE_QUOTES)
            .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
            .build();
  }

  private StrictBinder() {}

  /// Parses YAML; one mapping.
  ///
  /// @param source the name of the file, for messages
  /// @throws InvalidInputException if it is not one YAML mapping
  static ObjectNode parseYaml(String yaml, String source) {
    JsonNode tree;
    try {
      tree = Yaml.MAPPER.readTree(yaml);
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(source + ": not YAML: " + place(e), e);
    }
    if (!(tree instanceof ObjectNode object)) {
      throw new InvalidInputException(source + ": expected keys and values at the top");
    }
    return object;
  }

  /// Readable YAML of a tree.
  static String toYaml(JsonNode tree) {
    try {
      return Yaml.MAPPER.writeValueAsString(tree);
    } catch (JsonProcessingException e) {
      throw new AssertionError("a tree can always be written", e);
    }
  }

  /// Parses JSON; one object and nothing after it.
  ///
  /// @param source the name of the file, for messages
  /// @throws InvalidInputException if it is not one JSON object
  public static ObjectNode parse(String json, String source) {
    JsonNode tree;
    try {
      tree = MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(source + ": not JSON: " + place(e), e);
    }
    if (!(tree instanceof ObjectNode object)) {
      throw new InvalidInputException(source + ": expected a JSON object at the top");
    }
    return object;
  }

  /// The tree of a record, keys in the order of its components.
  public static ObjectNode toTree(Object record) {
    return MAPPER.valueToTree(record);
  }

  /// Readable JSON of a tree.
  public static String toJson(JsonNode tree) {
    try {
      return MAPPER.writeValueAsString(tree) + "\n";
    } catch (JsonProcessingException e) {
      throw new AssertionError("a tree can always be written", e);
    }
  }

  /// Lays `said` over `defaults`, neither of which is changed.
  ///
  /// @param defaults a whole tree; says which keys there are and of which type
  /// @param said the keys that somebody wrote
  /// @param source the name of the file, for messages
  /// @throws InvalidInputException for an unknown key or a wrong type
  public static ObjectNode merge(ObjectNode defaults, ObjectNode said, String source) {
    return merge(defaults, said, source, "");
  }

  /// The same for a section.
  ///
  /// @param section what its keys begin with in messages, such as `model.`; may be empty
  public static ObjectNode merge(
      ObjectNode defaults, ObjectNode said, String source, String section) {
    ObjectNode merged = defaults.deepCopy();
    overlay(merged, said, section, source);
    return merged;
  }

  /// Makes the record of a whole tree.
  ///
  /// @throws InvalidInputException if the record refuses a value, in the record's own words but
  ///   with keys for the names of its components
  public static <T> T toRecord(ObjectNode tree, Class<T> type, String source) {
    return toRecord(tree, type, source, "");
  }

  /// The same for a section.
  ///
  /// @param section what its keys begin with in messages, such as `model.`; may be empty
  public static <T> T toRecord(ObjectNode tree, Class<T> type, String source, String section) {
    try {
      return MAPPER.treeToValue(tree, type);
    } catch (JsonProcessingException e) {
      List<String> path = e instanceof JsonMappingException mapping ? path(mapping) : List.of();
      for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
        if (cause instanceof IllegalArgumentException && cause.getMessage() != null) {
          throw new InvalidInputException(
              prefix(source) + KeyNames.inMessage(cause.getMessage(), type, section, path), e);
        }
        if (cause instanceof NullPointerException) {
          String at = section + KeyNames.dotted(path);
          String where = at.isEmpty() ? "" : " in " + at.substring(0, at.length() - 1);
          throw new InvalidInputException(
              prefix(source) + "a null stands where a value must" + where, e);
        }
      }
      throw new InvalidInputException(prefix(source) + refused(e, section, path), e);
    }
  }

  /// Returns the beginning of a message: the source and a colon, or nothing if there is none.
  static String prefix(String source) {
    return source.isEmpty() ? "" : source + ": ";
  }

  /// Why a value does not fit its component: the key, the value, what would be right.
  private static String refused(JsonProcessingException e, String section, List<String> path) {
    String dotted = section + KeyNames.dotted(path);
    String key = dotted.isEmpty() ? "" : dotted.substring(0, dotted.length() - 1);
    if (!(e instanceof MismatchedInputException mismatch) || mismatch.getTargetType() == null) {
      return key.isEmpty() ? place(e) : key + ": " + place(e);
    }
    Class<?> type = mismatch.getTargetType();
    String wanted =
        type.isEnum()
            ? "one of " + Arrays.toString(type.getEnumConstants())
            : "a value of type " + type.getSimpleName().toLowerCase(Locale.ROOT);
    String given =
        mismatch instanceof InvalidFormatException format
            ? ", but is " + OneLine.quote(format.getValue())
            : "";
    return key + " must be " + wanted + given;
  }

  private static List<String> path(JsonMappingException e) {
    return e.getPath().stream()
        .map(part -> part.getFieldName() == null ? "" + part.getIndex() : part.getFieldName())
        .toList();
  }

  private static void overlay(ObjectNode base, ObjectNode said, String path, String source) {
    for (Map.Entry<String, JsonNode> entry : said.properties()) {
      String key = entry.getKey();
      JsonNode value = entry.getValue();
      JsonNode known = base.get(key);
      if (known == null) {
        throw new UnknownKeyException(source, path + key, names(base));
      }
      if (known instanceof ObjectNode section && value instanceof ObjectNode lines) {
        overlay(section, lines, path + key + ".", source);
      } else {
        base.set(key, checkedType(known, value, path + key, source));
      }
    }
  }

  /// Returns the value for a key: a number such as `1e3` or `1000.0` as the whole number that it
  /// is, where the key takes one. Everything else is returned as it is.
  ///
  /// @param known a value of the key that has the right type
  public static JsonNode asWhole(JsonNode known, JsonNode value) {
    double number = value.doubleValue();
    if (!known.isIntegralNumber()
        || !value.isFloatingPointNumber()
        || number != Math.rint(number)
        || Math.abs(number) > EXACT) {
      return value;
    }
    return number == (int) number ? IntNode.valueOf((int) number) : LongNode.valueOf((long) number);
  }

  private static JsonNode checkedType(JsonNode known, JsonNode given, String path, String source) {
    JsonNode value = asWhole(known, given);
    String wanted = null;
    if (value.isNull() && !known.isNull() && !known.isObject()) {
      throw new InvalidInputException(prefix(source) + path + " must have a value");
    }
    if (known.isObject() && !value.isNull()) {
      wanted = "a section of keys";
    } else if (known.isBoolean() && !value.isBoolean()) {
      wanted = "true or false";
    } else if (known.isIntegralNumber() && !value.isIntegralNumber()) {
      wanted = "a whole number";
    } else if (known.isFloatingPointNumber() && !value.isNumber()) {
      wanted = "a number";
    } else if (known.isTextual() && !value.isTextual()) {
      wanted = "a word";
    } else if (known.isArray() && !value.isArray()) {
      wanted = "a list";
    } else if (known.isIntegralNumber() && !value.canConvertToInt() && !value.canConvertToLong()) {
      wanted = "a smaller number";
    }
    if (wanted != null) {
      throw new InvalidInputException(
          prefix(source) + path + " must be " + wanted + ", but is " + shown(value));
    }
    return value;
  }

  /// A value as a message shows it.
  static String shown(JsonNode value) {
    String text = value.toString();
    if (value.isFloatingPointNumber()) {
      text = text.replaceFirst("(\\.0)?E", "e"); // as people write it: 1e30
    }
    return text.length() <= 60 ? text : text.substring(0, 57) + "...";
  }

  private static List<String> names(ObjectNode node) {
    var names = new ArrayList<String>();
    node.fieldNames().forEachRemaining(names::add);
    return names;
  }

  /// Jackson's message without its second line, which names Java classes, and without where an
  /// object began, which is passed as a source that it then withholds.
  private static String place(JsonProcessingException e) {
    String first = e.getOriginalMessage().lines().findFirst().orElse("unreadable");
    String message = OneLine.of(first.replaceFirst(" \\(start marker at .*]\\)", ""));
    var at = e.getLocation();
    return at == null || at.getLineNr() < 1
        ? message
        : message + " (line " + at.getLineNr() + ", column " + at.getColumnNr() + ")";
  }
}
