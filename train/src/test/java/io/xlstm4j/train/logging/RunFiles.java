package io.xlstm4j.train.logging;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/// Run folders for tests, as a trainer leaves them.
final class RunFiles {
  private RunFiles() {}

  /// A run of `steps` steps, with a validation every tenth of them that ends at `loss`.
  static Path make(Path folder, int planned, int steps, double loss, double rate)
      throws IOException {
    Files.createDirectories(folder);
    Files.writeString(
        folder.resolve("run.yaml"),
        """
        model:
          model_type: xlstm_paper
          slstm_at:
          - 1
        data:
          corpus: <b>tiny</b>
        training:
          steps: %d
          learning_rate: %s
        """
            .formatted(planned, rate));
    var random = new Random(steps);
    try (var csv = MetricsCsv.open(folder.resolve("metrics.csv"), 0)) {
      int every = Math.max(1, steps / 10);
      for (int step = 1; step <= steps; step++) {
        var values = new LinkedHashMap<String, Double>();
        values.put(MetricNames.TRAIN_LOSS, loss + random.nextDouble());
        values.put(MetricNames.TRAIN_TOKENS, 100.0 * step);
        values.put(MetricNames.TRAIN_TOKENS_PER_SECOND, 500.0);
        values.put(MetricNames.TRAIN_SECONDS, step / 5.0);
        csv.scalars(step, values);
        if (step % every == 0) {
          double more = steps - step;
          csv.scalars(step, Map.of(MetricNames.VALIDATION_LOSS, loss + more));
          csv.scalars(step, Map.of(MetricNames.VALIDATION_BITS_PER_BYTE, (loss + more) / 2));
        }
      }
    }
    return folder;
  }
}
