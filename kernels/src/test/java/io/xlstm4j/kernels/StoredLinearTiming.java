package io.xlstm4j.kernels;

import io.xlstm4j.kernels.StoredLinearKernel.Part;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.Random;

/// Prints the speed of products with stored matrices, and of a bare read of memory beside it. Run
/// by hand.
final class StoredLinearTiming {
  /// Outputs beside many rows.
  private static final int SMALL = 1536;

  private StoredLinearTiming() {}

  public static void main(String[] args) {
    int threadCount = args.length > 0 ? Integer.parseInt(args[0]) : 2;
    var threads = new KernelThreads(threadCount);
    StoredLinearKernel storedLinear = StoredLinearKernels.of(threads, true);
    var arena = Arena.global();
    int in = args.length > 1 ? Integer.parseInt(args[1]) : 512;
    int out = (1 << 26) / in; // 268 MB in float32
    MemorySegment data = arena.allocate(4L * in * out, 64);
    var random = new Random(1);
    for (long i = 0; i < (long) in * out; i++) {
      SegmentFloats.set(data, i, (float) random.nextGaussian());
    }
    MemorySegment scales = arena.allocate(4L * in * out / 32, 64);
    MemorySegment x = arena.allocate(4L * 512 * in, 64);
    MemorySegment y = arena.allocate(4L * Math.max(16 * out, 512 * SMALL), 64);
    for (int round = 0; round < 3; round++) {
      forkJoin(threads);
      for (WeightType type : WeightType.values()) {
        var w =
            type == WeightType.INT8
                ? new WeightMatrix(type, out, in, data, scales, 64)
                : WeightMatrix.of(type, out, in, data);
        for (int rows : new int[] {1, 2, 4, 8, 16}) {
          time("rows", storedLinear, w, rows, x, y, 1);
        }
        var small = w.rows(0, SMALL);
        for (int tokens : new int[] {16, 24, 32, 64, 512}) {
          time("rows", storedLinear, small, tokens, x, y, 10);
          time("tokens", storedLinear, small, tokens, x, y, 10);
        }
      }
    }
    threads.close();
  }

  private static void forkJoin(KernelThreads threads) {
    long from = System.nanoTime();
    for (int i = 0; i < 100_000; i++) {
      threads.run(2, task -> {});
    }
    System.out.printf(Locale.ROOT, "fork and join %.2f us%n", (System.nanoTime() - from) / 1e8);
  }

  /// @param kind rows of a batch, or tokens of a sequence
  private static void time(
      String kind,
      StoredLinearKernel storedLinear,
      WeightMatrix w,
      int rows,
      MemorySegment x,
      MemorySegment y,
      int calls) {
    var part =
        new Part(
            w, null, new MemoryMatrix(x, 0, w.columns()), new MemoryMatrix(y, 0, w.rows()), false);
    double best = Double.MAX_VALUE;
    for (int round = 0; round < 8; round++) {
      long from = System.nanoTime();
      for (int i = 0; i < calls; i++) {
        if (kind.equals("rows")) {
          storedLinear.run(rows, part);
        } else {
          storedLinear.runSequence(rows, part);
        }
      }
      best = Math.min(best, (System.nanoTime() - from) / (double) calls);
    }
    double weights = (double) w.rows() * w.columns();
    System.out.printf(
        Locale.ROOT,
        "%-5s %4d %s: %8.3f ms %6.1f GB/s %7.1f GF/s%n",
        w.type(),
        rows,
        kind,
        best / 1e6,
        weights * w.type().bytes() / best,
        2 * weights * rows / best);
  }
}
