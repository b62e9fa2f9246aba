package io.xlstm4j.train.logging;

import io.xlstm4j.core.InvalidInputException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/// All numbers of a run as curves, in memory that does not grow with its steps.
public final class Curves implements MetricsLogger {
  private final SequencedMap<String, Curve> byName = new LinkedHashMap<>();
  private long lastStep = -1;

  /// The curves of a `metrics.csv`.
  ///
  /// @throws InvalidInputException if it cannot be read
  public static Curves read(Path metricsCsv) {
    var curves = new Curves();
    MetricsCsv.replay(metricsCsv, curves);
    return curves;
  }

  @Override
  public void scalars(long step, Map<String, Double> values) {
    values.forEach(
        (name, value) -> byName.computeIfAbsent(name, _ -> new Curve()).add(step, value));
    lastStep = step;
  }

  /// The curve of a name, null if it never came.
  public @Nullable Curve get(String name) {
    return byName.get(name);
  }

  /// Gives every curve to `visitor`, in the order they came.
  void forEach(BiConsumer<String, Curve> visitor) {
    byName.forEach(visitor);
  }

  /// The last value of a name, NaN if it never came.
  public double last(String name) {
    Curve curve = get(name);
    return curve == null ? Double.NaN : curve.last();
  }

  /// The last step, -1 if there is none.
  public long lastStep() {
    return lastStep;
  }

  /// Nothing to close.
  @Override
  public void close() {}
}
