package io.xlstm4j.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Locale;

/// Prints the speed of the headwise product. Run by hand: threads.
final class HeadwiseTiming {
  private static final int ROUNDS = 300;

  private HeadwiseTiming() {}

  public static void main(String[] args) {
    var workers = new Workers(Integer.parseInt(args[0]));
    for (int round = 0; round < 2; round++) { // the first also compiles
      time(workers, new HeadwiseShape(2048, 128, 4, 4));
      time(workers, new HeadwiseShape(2048, 64, 8, 8));
      time(workers, new HeadwiseShape(2048, 16, 32, 32));
      time(workers, new HeadwiseShape(16384, 256, 4, 4));
    }
    workers.close();
  }

  private static void time(Workers workers, HeadwiseShape shape) {
    var kernel = new VectorHeadwiseKernel(workers);
    try (Arena arena = Arena.ofShared()) {
      int in = shape.heads() * shape.in();
      int out = shape.heads() * shape.out();
      Rows x = rows(arena, shape, in);
      Rows y = rows(arena, shape, out);
      Rows dy = rows(arena, shape, out);
      Rows dx = rows(arena, shape, in);
      MemorySegment w = arena.allocate((long) shape.floatsOfWeight() * Float.BYTES, 64);
      MemorySegment dw = arena.allocate((long) shape.floatsOfWeight() * Float.BYTES, 64);
      double copy = Double.MAX_VALUE;
      double forward = Double.MAX_VALUE;
      double backward = Double.MAX_VALUE;
      for (int i = 0; i < ROUNDS; i++) {
        long a = System.nanoTime();
        workers.run(
            8,
            s -> {
              long part = x.data().byteSize() / 8;
              MemorySegment.copy(x.data(), s * part, dx.data(), s * part, part);
            });
        long b = System.nanoTime();
        kernel.forward(shape, x, w, y);
        long c = System.nanoTime();
        kernel.backward(shape, x, w, dy, dx, false, dw);
        long d = System.nanoTime();
        copy = Math.min(copy, (b - a) / 1e6);
        forward = Math.min(forward, (c - b) / 1e6);
        backward = Math.min(backward, (d - c) / 1e6);
      }
      System.out.printf(
          Locale.ROOT,
          "%s: copy of x %.3f ms, forward %.3f ms, backward %.3f ms%n",
          shape,
          copy,
          forward,
          backward);
    }
  }

  private static Rows rows(Arena arena, HeadwiseShape shape, int width) {
    return new Rows(
        arena.allocate((long) shape.positions() * width * Float.BYTES, 64).fill((byte) 0), width);
  }
}
