package io.xlstm4j.runtime;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.core.SamplerConfig;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// How a [TextGenerator] continues a prompt. Immutable, and every instance is valid; the defaults
/// are those of `./xlstm generate`.
///
/// ```java
/// var options = GenerationOptions.DEFAULT.withMaxTokens(40).withTemperature(0.8).withSeed(1);
/// ```
///
/// @param maxTokens most tokens to add, above 0; default 128
/// @param temperature divides the logits; 0 always takes the likeliest token; default 0.7
/// @param topK only the k likeliest tokens are drawn; 0 for all; default 0
/// @param topP only the fewest likeliest tokens whose probabilities add up to p, in (0, 1]; 1 for
///   all; default 0.9
/// @param minP only tokens at least this fraction as likely as the likeliest, in \[0, 1); default 0
/// @param repetitionPenalty above 1 makes tokens that were seen less likely; default 1
/// @param seed the same seed gives the same text; null for a fresh one at each call; default null
/// @param stopStrings texts that end the text where they begin; none is ever shown; default none
public record GenerationOptions(
    int maxTokens,
    double temperature,
    int topK,
    double topP,
    double minP,
    double repetitionPenalty,
    @Nullable Long seed,
    List<String> stopStrings) {
  /// The options of `./xlstm generate` without arguments.
  public static final GenerationOptions DEFAULT =
      new GenerationOptions(128, 0.7, 0, 0.9, 0, 1, null, List.of());

  /// Checks.
  ///
  /// @throws IllegalArgumentException naming the value that is out of range
  public GenerationOptions {
    Check.positive("maxTokens", maxTokens);
    var _ = new SamplerConfig(temperature, topK, topP, minP, repetitionPenalty, 0); // checks
    stopStrings = List.copyOf(stopStrings);
    if (stopStrings.contains("")) {
      throw new IllegalArgumentException("a stop string must not be empty");
    }
  }

  /// Returns what decides the choice of tokens; with a fresh seed if there is none.
  public SamplerConfig sampler() {
    long chosen = seed == null ? System.nanoTime() : seed;
    return new SamplerConfig(temperature, topK, topP, minP, repetitionPenalty, chosen);
  }

  public GenerationOptions withMaxTokens(int value) {
    return RecordComponents.with(this, "maxTokens", value);
  }

  public GenerationOptions withTemperature(double value) {
    return RecordComponents.with(this, "temperature", value);
  }

  public GenerationOptions withTopK(int value) {
    return RecordComponents.with(this, "topK", value);
  }

  public GenerationOptions withTopP(double value) {
    return RecordComponents.with(this, "topP", value);
  }

  public GenerationOptions withMinP(double value) {
    return RecordComponents.with(this, "minP", value);
  }

  public GenerationOptions withRepetitionPenalty(double value) {
    return RecordComponents.with(this, "repetitionPenalty", value);
  }

  public GenerationOptions withSeed(long value) {
    return RecordComponents.with(this, "seed", value);
  }

  public GenerationOptions withStopStrings(List<String> value) {
    return RecordComponents.with(this, "stopStrings", value);
  }
}
