package io.xlstm4j.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/// Prints the speed of the mLSTM kernel. Run by hand: threads, batch, length, heads, width, then
/// chunk lengths.
final class MlstmTiming {
  private static final int ROUNDS = 400;

  private MlstmTiming() {}

  public static void main(String[] args) {
    int[] n = new int[args.length];
    for (int i = 0; i < n.length; i++) {
      n[i] = Integer.parseInt(args[i]);
    }
    var workers = new Workers(n[0]);
    var shape = new MlstmShape(n[1], n[2], n[3], n[4], n[4]);
    for (int round = 0; round < 2; round++) { // the first also compiles
      for (int i = 5; i < n.length; i++) {
        time(shape, new VectorMlstmKernel(workers, n[i]), n[i]);
      }
    }
    workers.close();
  }

  private static void time(MlstmShape shape, MlstmKernel kernel, int chunk) {
    try (Arena arena = Arena.ofShared()) {
      var random = new Random(1);
      int qk = shape.qkDim();
      int v = shape.vDim();
      var inputs =
          new MlstmInputs(
              rows(arena, shape, qk, random),
              rows(arena, shape, qk, random),
              rows(arena, shape, v, random),
              rows(arena, shape, 1, random),
              rows(arena, shape, 1, random),
              null,
              null);
      Rows h = rows(arena, shape, v, random);
      Rows dH = rows(arena, shape, v, random);
      var last =
          new MlstmState(
              floats(arena, shape.floatsOfC()),
              floats(arena, shape.floatsOfN()),
              floats(arena, shape.pairs()));
      var gradients =
          new MlstmGradients(
              rows(arena, shape, qk, random),
              rows(arena, shape, qk, random),
              rows(arena, shape, v, random),
              rows(arena, shape, 1, random),
              rows(arena, shape, 1, random));
      MemorySegment saved = arena.allocate(kernel.savedBytes(shape), 64);
      double[] forward = new double[ROUNDS];
      double[] backward = new double[ROUNDS];
      for (int i = 0; i < ROUNDS; i++) {
        long a = System.nanoTime();
        kernel.forward(shape, inputs, null, h, last, saved);
        long b = System.nanoTime();
        kernel.backward(shape, inputs, h, saved, dH, null, gradients, null);
        long c = System.nanoTime();
        forward[i] = (b - a) / 1e6;
        backward[i] = (c - b) / 1e6;
      }
      Arrays.sort(forward);
      Arrays.sort(backward);
      // products of whole chunks: 4 forward, 9 backward
      double flops =
          2.0 * shape.pairs() * shape.length() * chunk * qk
              + 2.0 * shape.pairs() * shape.length() * qk * v;
      System.out.printf(
          Locale.ROOT,
          "chunk %3d: forward %6.3f ms (best %6.3f, %5.1f GF/s), backward %6.3f ms (best %6.3f, %5.1f GF/s)%n",
          chunk,
          forward[ROUNDS / 2],
          forward[0],
          2 * flops / forward[0] / 1e6,
          backward[ROUNDS / 2],
          backward[0],
          4.5 * flops / backward[0] / 1e6);
    }
  }

  private static Rows rows(Arena arena, MlstmShape shape, int width, Random random) {
    int stride = shape.heads() * width;
    MemorySegment data = floats(arena, (long) shape.batch() * shape.length() * stride);
    for (long i = 0; i < data.byteSize() / Float.BYTES; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return new Rows(data, stride);
  }

  private static MemorySegment floats(Arena arena, long count) {
    return arena.allocate(count * Float.BYTES, 64);
  }
}
