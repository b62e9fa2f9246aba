package io.xlstm4j.train.logging;

import java.util.List;
import java.util.Map;

/// Several sinks as one.
record MetricsLoggers(List<MetricsLogger> sinks) implements MetricsLogger {
  @Override
  public void scalars(long step, Map<String, Double> values) {
    sinks.forEach(sink -> sink.scalars(step, values));
  }

  @Override
  public void text(long step, String name, String markdown) {
    sinks.forEach(sink -> sink.text(step, name, markdown));
  }

  @Override
  public void histogram(long step, String name, Histogram values) {
    sinks.forEach(sink -> sink.histogram(step, name, values));
  }

  /// Closes all, also after one that fails; the first failure is the one thrown.
  @Override
  public void close() {
    RuntimeException failure = null;
    for (MetricsLogger sink : sinks) {
      try {
        sink.close();
      } catch (RuntimeException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}
