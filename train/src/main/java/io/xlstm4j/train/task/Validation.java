package io.xlstm4j.train.task;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/// The result of a validation: the model's loss on data that it was not trained on.
///
/// @param loss what is minimised, mean over the targets
/// @param measures other figures by name, such as `bits_per_byte` or `accuracy`
public record Validation(double loss, SequencedMap<String, Double> measures) {
  public Validation {
    measures = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(measures));
  }
}
