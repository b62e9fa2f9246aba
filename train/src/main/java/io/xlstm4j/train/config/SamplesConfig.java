package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import io.xlstm4j.core.SamplerConfig;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The texts a run writes at its start and at every validation, to be read by a person.
///
/// @param prompts what to continue; null for prompts that suit the corpus: three heads of entries
///   for WordNet, else the first words of three documents that validate
/// @param maxTokens tokens to write after each, at most
/// @param temperature 0 for the likeliest token always
/// @param topP mass of the likeliest tokens that may be chosen, in (0, 1]
public record SamplesConfig(
    @Nullable List<String> prompts, int maxTokens, double temperature, double topP) {
  /// The settings of `./xlstm train` without arguments.
  public static final SamplesConfig DEFAULT = new SamplesConfig(null, 40, 0.7, 0.9);

  public SamplesConfig {
    prompts = prompts == null ? null : List.copyOf(prompts);
    Check.positive("maxTokens", maxTokens);
    Check.notNegative("temperature", temperature);
    Check.inLeftOpenRange("topP", topP, 0, 1);
  }

  /// Returns the sampler's configuration for a seed.
  public SamplerConfig sampler(long seed) {
    return new SamplerConfig(temperature, 0, topP, 0, 1, seed);
  }

  public SamplesConfig withPrompts(@Nullable List<String> value) {
    return RecordComponents.with(this, "prompts", value);
  }

  public SamplesConfig withMaxTokens(int value) {
    return RecordComponents.with(this, "maxTokens", value);
  }

  public SamplesConfig withTemperature(double value) {
    return RecordComponents.with(this, "temperature", value);
  }

  public SamplesConfig withTopP(double value) {
    return RecordComponents.with(this, "topP", value);
  }
}
