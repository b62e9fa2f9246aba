package io.xlstm4j.train.config;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.RecordComponents;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/// Parameters that the optimizer treats in their own way.
///
/// @param match regular expression that is found in the name of each of them, such as
///   `slstm.*recurrent`
/// @param learningRateFactor times the schedule's learning rate, 0 to freeze them; null for 1
/// @param weightDecay for all of them, whatever the model says; null to leave it to the model
public record ParameterGroup(
    String match, @Nullable Double learningRateFactor, @Nullable Double weightDecay) {
  public ParameterGroup {
    Check.notBlank("match", match == null ? "" : match);
    try {
      Pattern.compile(match);
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException(
          "match (%s) is not a regular expression: %s".formatted(match, e.getDescription()), e);
    }
    if (learningRateFactor != null) {
      Check.notNegative("learningRateFactor", learningRateFactor);
    }
    if (weightDecay != null) {
      Check.notNegative("weightDecay", weightDecay);
    }
  }

  /// Returns whether a parameter belongs to it.
  public boolean matches(String parameterName) {
    return Pattern.compile(match).matcher(parameterName).find();
  }

  public ParameterGroup withMatch(String value) {
    return RecordComponents.with(this, "match", value);
  }

  public ParameterGroup withLearningRateFactor(@Nullable Double value) {
    return RecordComponents.with(this, "learningRateFactor", value);
  }

  public ParameterGroup withWeightDecay(@Nullable Double value) {
    return RecordComponents.with(this, "weightDecay", value);
  }
}
