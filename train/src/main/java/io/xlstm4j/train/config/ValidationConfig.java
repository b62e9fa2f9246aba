package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;

/// The validation of a run: how often and on how much data.
///
/// @param every steps between validations
/// @param tokens tokens (or positions) a validation during the run reads; 0 for all
/// @param patience validations in a row that may bring no better loss; one more ends the run. 0 for
///   no such end
public record ValidationConfig(int every, int tokens, int patience) {
  /// The settings of `./xlstm train` without arguments.
  public static final ValidationConfig DEFAULT = new ValidationConfig(150, 16_384, 0);

  public ValidationConfig {
    Check.positive("every", every);
    Check.notNegative("tokens", tokens);
    Check.notNegative("patience", patience);
  }

  public ValidationConfig withEvery(int value) {
    return RecordComponents.with(this, "every", value);
  }

  public ValidationConfig withTokens(int value) {
    return RecordComponents.with(this, "tokens", value);
  }

  public ValidationConfig withPatience(int value) {
    return RecordComponents.with(this, "patience", value);
  }
}
