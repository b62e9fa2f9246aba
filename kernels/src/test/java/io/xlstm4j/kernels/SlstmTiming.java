package io.xlstm4j.kernels;

import io.xlstm4j.kernels.SlstmKernel.Gradients;
import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import io.xlstm4j.kernels.SlstmKernel.StateGradients;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;

/// Times the vector kernel: `B S NH DH threads rounds`. Not a test.
final class SlstmTiming {
  private SlstmTiming() {}

  public static void main(String[] args) {
    int[] n = Arrays.stream(args).mapToInt(Integer::parseInt).toArray();
    var size = new Size(n[0], n[1], n[2], n[3]);
    var workers = new Workers(n[4]);
    var kernel = new VectorSlstmKernel();
    long states = size.stateFloats();
    Inputs inputs =
        new Inputs(
            random(states * n[1] * 4),
            random(size.kernel(n[2], 0, 0)),
            random(size.bias(n[2], 0)),
            new State(zero(states), zero(states), zero(states), zero(states)),
            null,
            null);
    MemorySegment y = zero(states * n[1]);
    MemorySegment dy = random(states * n[1]);
    MemorySegment saved = zero(kernel.savedBytes(size) / 4);
    var last = new State(zero(states), zero(states), zero(states), zero(states));
    var to =
        new Gradients(
            zero(states * n[1] * 4),
            zero(size.kernel(n[2], 0, 0)),
            zero(size.bias(n[2], 0)),
            new State(zero(states), zero(states), zero(states), zero(states)));
    for (int report = 0; report < 6; report++) {
      var times = new double[3][n[5]];
      for (int round = 0; round < n[5]; round++) {
        long start = System.nanoTime();
        kernel.forward(size, inputs, y, last, null, workers);
        long plain = System.nanoTime();
        kernel.forward(size, inputs, y, last, saved, workers);
        long forward = System.nanoTime();
        kernel.backward(size, inputs, y, saved, dy, StateGradients.NONE, to, workers);
        long backward = System.nanoTime();
        times[0][round] = (plain - start) / 1e6;
        times[1][round] = (forward - plain) / 1e6;
        times[2][round] = (backward - forward) / 1e6;
      }
      for (double[] t : times) {
        Arrays.sort(t);
      }
      System.out.printf(
          "forward %.3f (least %.3f), saving %.3f (%.3f), backward %.3f (%.3f) ms%n",
          times[0][n[5] / 2],
          times[0][0],
          times[1][n[5] / 2],
          times[1][0],
          times[2][n[5] / 2],
          times[2][0]);
    }
    workers.close();
  }

  private static MemorySegment zero(long count) {
    return Arena.global().allocate(count * Float.BYTES, 64);
  }

  private static MemorySegment random(long count) {
    var random = new Random(1);
    MemorySegment made = zero(count);
    for (long i = 0; i < count; i++) {
      SegmentFloats.set(made, i, (float) random.nextGaussian() * 0.2f);
    }
    return made;
  }
}
