package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import java.util.List;
import java.util.Map;

/// Takes the numbers, texts and distributions of a run as they come.
///
/// Called on the thread that trains, every step: an implementation is cheap, keeps its file open
/// and hands every record to the system at once, so a killed run loses at most a torn last record.
/// Steps never go back. For one thread at a time.
public interface MetricsLogger extends AutoCloseable {
  /// Named numbers of a step; a step may be given more than once, for example first the training
  /// and then the validation.
  ///
  /// @param step optimizer steps done, from 0 on
  /// @param values by name, see [MetricNames]; NaN and infinities are values like others
  /// @throws InvalidInputException if the disk refuses
  /// @throws IllegalArgumentException if a name has other characters than letters, digits and
  ///   `_./-`
  void scalars(long step, Map<String, Double> values);

  /// A text of a step, such as what the model wrote.
  ///
  /// @param name of one line, such as `samples/hedgehog`
  /// @param markdown the text; of any length and content
  /// @throws InvalidInputException if the disk refuses
  default void text(long step, String name, String markdown) {}

  /// A distribution at a step, such as the weights of a layer.
  ///
  /// @throws InvalidInputException if the disk refuses
  default void histogram(long step, String name, Histogram values) {}

  /// The distribution of `values`.
  default void histogram(long step, String name, float[] values) {
    histogram(step, name, Histogram.of(values));
  }

  /// The distribution of `values`.
  default void histogram(long step, String name, double[] values) {
    histogram(step, name, Histogram.of(values));
  }

  /// Closes the file. To be called once.
  @Override
  void close();

  /// Gives everything to each of `sinks`, in their order.
  static MetricsLogger all(List<? extends MetricsLogger> sinks) {
    return new MetricsLoggers(List.copyOf(sinks));
  }
}
