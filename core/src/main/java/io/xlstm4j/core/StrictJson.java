package io.xlstm4j.core;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonFactoryBuilder;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/// Reads untrusted JSON value by value, in constant stack: the caller says what must come next, and
/// anything else is an [InvalidInputException] of one line that names the file.
///
/// Refused: bytes that are not UTF-8, a key given twice, text after the value, unpaired surrogates,
/// nesting below 64, numbers over 1,000 digits, strings over 16 million characters.
public final class StrictJson {
  private static final JsonFactory FACTORY =
      new JsonFactoryBuilder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          // Names of one untrusted file must not live on in a table shared by all.
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(64)
                  .maxNumberLength(1_000)
                  .maxStringLength(16_000_000)
                  .maxNameLength(65_536)
                  .build())
          .build();

  private final String where;
  private final JsonParser parser;

  /// Starts to read.
  ///
  /// @param where names the file in messages, for example its path
  /// @param utf8 the whole JSON text
  public StrictJson(String where, byte[] utf8) {
    this.where = OneLine.of(where);
    try {
      // A decoder of our own: it reports bad bytes, and never guesses UTF-16 from zero bytes.
      this.parser =
          FACTORY.createParser(
              new InputStreamReader(
                  new ByteArrayInputStream(utf8), StandardCharsets.UTF_8.newDecoder()));
    } catch (IOException e) {
      throw failure(e);
    }
  }

  /// `text` as a JSON string in quotes, with the fewest escapes that JSON allows.
  ///
  /// @throws IllegalArgumentException if `text` has an unpaired surrogate
  public static String quote(String text) {
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
      throw new IllegalArgumentException("unpaired surrogate in " + OneLine.quote(text));
    }
    var json = new StringBuilder(text.length() + 2).append('"');
    for (int at = 0; at < text.length(); at++) {
      char c = text.charAt(at);
      switch (c) {
        case '"' -> json.append("\\\"");
        case '\\' -> json.append("\\\\");
        case '\b' -> json.append("\\b");
        case '\f' -> json.append("\\f");
        case '\n' -> json.append("\\n");
        case '\r' -> json.append("\\r");
        case '\t' -> json.append("\\t");
        default -> {
          if (c < ' ') {
            json.append("\\u%04x".formatted((int) c));
          } else {
            json.append(c);
          }
        }
      }
    }
    return json.append('"').toString();
  }

  /// Requires an object to start here.
  public void beginObject(String what) {
    require(next(), JsonToken.START_OBJECT, what, "an object");
  }

  /// The next key of the innermost object, or null at its end.
  public @Nullable String nextKey() {
    return next() == JsonToken.END_OBJECT ? null : text("a key");
  }

  /// Requires an array to start here.
  public void beginArray(String what) {
    require(next(), JsonToken.START_ARRAY, what, "an array");
  }

  /// The next element of an array of counts, or -1 at its end.
  public long nextCount(String what) {
    JsonToken token = next();
    return token == JsonToken.END_ARRAY ? -1 : count(token, what);
  }

  /// Requires a string.
  public String string(String what) {
    require(next(), JsonToken.VALUE_STRING, what, "a string");
    return text(what);
  }

  /// Requires an integer from 0 to 2^63 - 1, written without fraction or exponent.
  public long count(String what) {
    return count(next(), what);
  }

  /// Passes over one value of any kind; it must still be valid JSON.
  public void skip() {
    next();
    try {
      parser.skipChildren();
    } catch (IOException e) {
      throw failure(e);
    }
  }

  /// Requires that nothing but white space follows.
  public void end() {
    @Nullable JsonToken token;
    try {
      token = parser.nextToken();
    } catch (IOException e) {
      throw failure(e);
    }
    if (token != null) {
      throw new InvalidInputException(
          where + ": text after the end of the JSON value, at character " + offset());
    }
  }

  private JsonToken next() {
    @Nullable JsonToken token;
    try {
      token = parser.nextToken();
    } catch (IOException e) {
      throw failure(e);
    }
    if (token == null) {
      throw new InvalidInputException(
          where + ": not valid JSON: it ends early, at character " + offset());
    }
    return token;
  }

  private long count(JsonToken token, String what) {
    require(token, JsonToken.VALUE_NUMBER_INT, what, "an integer that is not negative");
    String digits = text(what);
    if (digits.startsWith("-")) {
      throw new InvalidInputException(
          "%s: %s must not be negative, but is %s".formatted(where, what, OneLine.of(digits)));
    }
    try {
      return Long.parseLong(digits);
    } catch (NumberFormatException e) {
      throw new InvalidInputException(
          "%s: %s must be below 2^63, but is %s".formatted(where, what, OneLine.of(digits)), e);
    }
  }

  private void require(JsonToken found, JsonToken wanted, String what, String kind) {
    if (found != wanted) {
      throw new InvalidInputException(
          "%s: %s must be %s, but is %s".formatted(where, what, kind, name(found)));
    }
  }

  private static String name(JsonToken token) {
    return switch (token) {
      case START_OBJECT, END_OBJECT -> "an object";
      case START_ARRAY, END_ARRAY -> "an array";
      case FIELD_NAME -> "a key";
      case VALUE_STRING -> "a string";
      case VALUE_NUMBER_INT -> "an integer";
      case VALUE_NUMBER_FLOAT -> "a number with a fraction or an exponent";
      case VALUE_TRUE -> "true";
      case VALUE_FALSE -> "false";
      case VALUE_NULL -> "null";
      case VALUE_EMBEDDED_OBJECT, NOT_AVAILABLE -> "unreadable";
    };
  }

  private String text(String what) {
    String text;
    try {
      text = parser.getText();
    } catch (IOException e) {
      throw failure(e);
    }
    // "\ud800" is valid JSON but no text: it could not be written back as UTF-8.
    if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
      throw new InvalidInputException(
          "%s: %s has an unpaired surrogate: %s".formatted(where, what, OneLine.quote(text)));
    }
    return text;
  }

  private long offset() {
    return parser.currentLocation().getCharOffset();
  }

  private InvalidInputException failure(IOException e) {
    String reason =
        switch (e) {
          case JsonProcessingException j -> OneLine.of(j.getOriginalMessage());
          case CharacterCodingException _ -> "not UTF-8";
          default -> OneLine.reason(e);
        };
    return new InvalidInputException(where + ": not valid JSON: " + reason, e);
  }
}
