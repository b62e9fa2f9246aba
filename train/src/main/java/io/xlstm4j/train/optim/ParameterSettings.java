package io.xlstm4j.train.optim;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.ParameterGroup;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/// The optimizer's settings of one parameter.
///
/// @param learningRateFactor times the schedule's rate; 0 for a frozen one
/// @param weightDecay decoupled, 0 for none
public record ParameterSettings(double learningRateFactor, double weightDecay) {
  /// Sorts parameters into the groups of a configuration.
  ///
  /// @param decays which of them the model wants decayed
  /// @throws InvalidInputException if a group matches nothing, which is a misspelt pattern
  public static Map<String, ParameterSettings> of(
      Collection<String> names, Predicate<String> decays, OptimizerConfig config) {
    var settings = new LinkedHashMap<String, ParameterSettings>();
    List<ParameterGroup> unused = new ArrayList<>(config.groups());
    for (String name : names) {
      double factor = 1;
      double decay = decays.test(name) ? config.weightDecay() : 0;
      for (ParameterGroup group : config.groups()) {
        if (group.matches(name)) {
          unused.remove(group);
          factor = group.learningRateFactor() == null ? factor : group.learningRateFactor();
          decay = group.weightDecay() == null ? decay : group.weightDecay();
          break;
        }
      }
      settings.put(name, new ParameterSettings(factor, decay));
    }
    if (!unused.isEmpty()) {
      throw new InvalidInputException(
          "optimizer.groups: %s matches no parameter that an earlier group left; names are such as %s"
              .formatted(unused.getFirst().match(), names.stream().findFirst().orElse("none")));
    }
    return settings;
  }
}
