package io.xlstm4j.core;

/// The sampling of the next token: temperature, top-k, top-p, min-p, repetition penalty, seed.
///
/// Applied in the order: repetition penalty, temperature, top-k, top-p, min-p.
///
/// @param temperature divides the logits; 0 always takes the most likely token
/// @param topK only the k most likely tokens; 0 is off
/// @param topP only the smallest set of most likely tokens whose probabilities reach p, in (0, 1];
///   1 is off
/// @param minP only tokens at least this fraction as likely as the most likely one, in \[0, 1); 0
///   is off
/// @param repetitionPenalty divides positive and multiplies negative logits of tokens seen before
///   (Keskar et al. 2019, arXiv:1909.05858, section 4.1); 1 is off
/// @param seed of all random choices
public record SamplerConfig(
    double temperature, int topK, double topP, double minP, double repetitionPenalty, long seed) {
  /// Always the most likely token.
  public static final SamplerConfig GREEDY = new SamplerConfig(0, 0, 1, 0, 1, 0);

  /// Checks.
  ///
  /// @throws IllegalArgumentException naming the value that is out of range
  public SamplerConfig {
    Check.notNegative("temperature", temperature);
    Check.notNegative("topK", topK);
    Check.inLeftOpenRange("topP", topP, 0, 1);
    Check.inHalfOpenRange("minP", minP, 0, 1);
    Check.positive("repetitionPenalty", repetitionPenalty);
  }

  public SamplerConfig withTemperature(double value) {
    return RecordComponents.with(this, "temperature", value);
  }

  public SamplerConfig withTopK(int value) {
    return RecordComponents.with(this, "topK", value);
  }

  public SamplerConfig withTopP(double value) {
    return RecordComponents.with(this, "topP", value);
  }

  public SamplerConfig withMinP(double value) {
    return RecordComponents.with(this, "minP", value);
  }

  public SamplerConfig withRepetitionPenalty(double value) {
    return RecordComponents.with(this, "repetitionPenalty", value);
  }

  public SamplerConfig withSeed(long value) {
    return RecordComponents.with(this, "seed", value);
  }
}
