package io.xlstm4j.runtime;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/// Prints how fast a checkpoint folder decodes and prefills. Run by hand.
final class DecodeTiming {
  private DecodeTiming() {}

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    int[] batches = args.length > 1 ? ints(args[1]) : new int[] {1, 2, 4, 8, 16};
    try (var model = RuntimeModel.open(folder)) {
      try (Sequence row = model.newSequence()) {
        model.prefill(row, 3);
        System.out.printf(
            Locale.ROOT,
            "first logits %.0f ms after the start of the process%n",
            (double) System.currentTimeMillis()
                - ManagementFactory.getRuntimeMXBean().getStartTime());
        prefill(model);
        for (int round = 0; round < 2; round++) {
          for (int batch : batches) {
            decode(model, batch);
          }
        }
        prefill(model);
      }
    }
    Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.matches("(VmHWM|RssAnon|RssFile).*"))
        .forEach(System.out::println);
  }

  private static int[] ints(String text) {
    return Arrays.stream(text.split(",")).mapToInt(Integer::parseInt).toArray();
  }

  private static void prefill(RuntimeModel model) {
    int[] ids = new Random(1).ints(512, 3, model.vocabSize()).toArray();
    double best = Double.MAX_VALUE;
    for (int i = 0; i < 7; i++) {
      try (Sequence row = model.newSequence()) {
        long from = System.nanoTime();
        model.prefill(row, ids);
        best = Math.min(best, (System.nanoTime() - from) / 1e9);
      }
    }
    System.out.printf(Locale.ROOT, "prefill 512: %.0f tokens/s%n", ids.length / best);
  }

  private static void decode(RuntimeModel model, int batch) {
    var rows = new Sequence[batch];
    int[] ids = new Random(1).ints(batch, 3, model.vocabSize()).toArray();
    Arrays.setAll(rows, _ -> model.newSequence());
    double[] times = new double[5];
    int steps = 64;
    for (int round = 0; round < times.length; round++) {
      long from = System.nanoTime();
      for (int i = 0; i < steps; i++) {
        model.step(ids, rows);
        ids[0] = (ids[0] * 31 + 7) % model.vocabSize();
      }
      times[round] = (System.nanoTime() - from) / 1e9;
    }
    Arrays.sort(times);
    System.out.printf(
        Locale.ROOT,
        "decode %3d rows: %.1f tokens/s, best %.1f%n",
        batch,
        batch * steps / times[times.length / 2],
        batch * steps / times[0]);
    for (Sequence row : rows) {
      row.close();
    }
  }
}
