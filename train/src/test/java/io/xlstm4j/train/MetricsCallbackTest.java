package io.xlstm4j.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.train.config.LoggingConfig;
import io.xlstm4j.train.logging.Histogram;
import io.xlstm4j.train.logging.MetricsLogger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

class MetricsCallbackTest {
  /// Writes down the steps it is given; fails while the disk is full.
  private static final class Sink implements MetricsLogger {
    private final List<Long> steps = new ArrayList<>();
    private boolean full;

    @Override
    public void scalars(long step, Map<String, Double> values) {
      steps.add(step);
    }

    @Override
    public void histogram(long step, String name, Histogram values) {
      if (full) {
        throw new InvalidInputException("metrics: cannot be written: No space left on device");
      }
      steps.add(step);
    }

    @Override
    public void close() {}
  }

  @Test
  void a_full_disk_is_one_warning_and_other_files_and_later_steps_are_written() {
    var first = new Sink();
    var second = new Sink();
    var files = new LinkedHashMap<String, Supplier<MetricsLogger>>();
    files.put("first", () -> first);
    files.put(
        "broken",
        () -> {
          throw new InvalidInputException("broken: line 3: not a line of metrics");
        });
    files.put("second", () -> second);
    var warnings = new ArrayList<String>();
    var metrics =
        new MetricsCallback(
            new LoggingConfig(1, false, 0), files, new Warnings(warnings::add), _ -> {});
    var values = Map.of("weights/x", Histogram.of(new float[] {1}));

    first.full = true;
    metrics.histograms(1, values);
    metrics.histograms(2, values);
    first.full = false;
    metrics.histograms(3, values);
    metrics.close();

    assertThat(first.steps).containsExactly(3L);
    assertThat(second.steps).containsExactly(1L, 2L, 3L);
    assertThat(warnings)
        .containsExactly(
            "broken failed: broken: line 3: not a line of metrics; training goes on",
            "first failed: metrics: cannot be written: No space left on device; training goes on");
  }
}
