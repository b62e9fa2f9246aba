package io.xlstm4j.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The result of one case; one line of JSON.
///
/// @param peer who was measured
/// @param name what was measured, the key `case`; two peers' measurements of one name compare
/// @param threads that one operation may use
/// @param ms median time in milliseconds
/// @param details other keys, in order: sizes, rates, how it was timed
public record Measurement(
    String peer, String name, int threads, double ms, SequencedMap<String, Object> details) {
  /// The peer of our own measurements.
  public static final String OURS = "xlstm4j";

  private static final ObjectMapper JSON = new ObjectMapper();

  public Measurement {
    details = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(details));
  }

  /// One of ours, with how it was timed.
  ///
  /// @param sizes what it was measured at
  static Measurement of(
      String name, int threads, Timing.Result timed, SequencedMap<String, Object> sizes) {
    var details = new LinkedHashMap<String, Object>(sizes);
    details.put("ms_best", rounded(timed.bestMs()));
    details.put("reps", timed.reps());
    details.put("warmup_runs", timed.warmups());
    return new Measurement(OURS, name, threads, timed.ms(), details);
  }

  /// With one more key, rounded to 3 places if it has a fraction.
  Measurement with(String key, Object value) {
    var more = new LinkedHashMap<>(details);
    more.put(key, value instanceof Double number ? rounded(number) : value);
    return new Measurement(peer, name, threads, ms, more);
  }

  /// With the key `tokens_per_s`.
  Measurement withTokens(long tokens) {
    return with("tokens_per_s", tokens / ms * 1e3);
  }

  Measurement renamed(String newName) {
    return new Measurement(peer, newName, threads, ms, details);
  }

  /// A key as a number; null if it is missing or no number.
  public @Nullable Double number(String key) {
    return details.get(key) instanceof Number number ? number.doubleValue() : null;
  }

  /// The line, without its end.
  public String toJson() {
    var all = new LinkedHashMap<String, Object>();
    all.put("peer", peer);
    all.put("case", name);
    all.put("threads", threads);
    all.put("ms", rounded(ms));
    all.putAll(details);
    try {
      return JSON.writeValueAsString(all);
    } catch (JsonProcessingException e) {
      throw new AssertionError("names and numbers are all there is", e);
    }
  }

  /// Reads what [#toJson] or a peer's script wrote.
  ///
  /// @throws InvalidInputException if it is no such line
  public static Measurement parse(String line) {
    try {
      if (JSON.readTree(line) instanceof ObjectNode object
          && object.path("peer").isTextual()
          && object.path("case").isTextual()
          && object.path("threads").isInt()
          && object.path("ms").isNumber()) {
        var details = new LinkedHashMap<String, Object>();
        for (Map.Entry<String, JsonNode> entry : object.properties()) {
          details.put(entry.getKey(), value(entry.getValue()));
        }
        details.keySet().removeAll(Set.of("peer", "case", "threads", "ms"));
        return new Measurement(
            object.path("peer").textValue(),
            object.path("case").textValue(),
            object.path("threads").intValue(),
            object.path("ms").doubleValue(),
            details);
      }
    } catch (JsonProcessingException e) {
      throw new InvalidInputException(
          "a measurement must be a line of JSON, but is " + OneLine.quote(line), e);
    }
    throw new InvalidInputException(
        "a measurement must have peer, case, threads and ms, but is " + OneLine.quote(line));
  }

  private static Object value(JsonNode node) {
    return node.isNumber() ? node.numberValue() : node.asText();
  }

  private static BigDecimal rounded(double value) {
    return BigDecimal.valueOf(value).setScale(3, RoundingMode.HALF_UP);
  }
}
