package io.xlstm4j.train.optim;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.torch.AdamW;
import io.xlstm4j.train.config.OptimizerConfig;
import io.xlstm4j.train.config.ParameterGroup;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import org.bytedeco.pytorch.Tensor;

/// The optimizer that a configuration asks for.
public final class Optimizers {
  private Optimizers() {}

  /// Returns an optimizer of a model's parameters; the caller closes it.
  ///
  /// @param parameters by name; owned by the model
  /// @param decays which of them the model wants decayed
  /// @throws InvalidInputException if a group of the configuration matches nothing
  public static AdamW adamW(
      Map<String, Tensor> parameters, Predicate<String> decays, OptimizerConfig config) {
    Map<String, AdamW.Settings> settings = settings(parameters.keySet(), decays, config);
    var options =
        AdamW.Options.DEFAULT
            .withLearningRate(config.learningRate())
            .withBeta1(config.beta1())
            .withBeta2(config.beta2())
            .withEpsilon(config.epsilon());
    return new AdamW(parameters, options, name -> Objects.requireNonNull(settings.get(name)));
  }

  /// Sorts parameters into the groups of a configuration.
  ///
  /// @param decays which of them the model wants decayed
  /// @throws InvalidInputException if a group matches nothing, which is a misspelt pattern
  static Map<String, AdamW.Settings> settings(
      Collection<String> names, Predicate<String> decays, OptimizerConfig config) {
    var settings = new LinkedHashMap<String, AdamW.Settings>();
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
      settings.put(name, new AdamW.Settings(factor, decay));
    }
    if (!unused.isEmpty()) {
      throw new InvalidInputException(
          "optimizer.groups: %s matches no parameter that an earlier group left; names are such as %s"
              .formatted(unused.getFirst().match(), names.stream().findFirst().orElse("none")));
    }
    return settings;
  }
}
