package io.xlstm4j.kernels.vector.slstm;

import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell on vectors: the whole sequence in one call, several rows against one head's R.
///
/// Units are padded to whole vectors of L lanes, J of them for a head. Within a task the gates lie
/// as `(rows, J, 4, L)`, so that the four gates of L units are one panel of the recurrent product
/// and one group for the element-wise part. Saved activations are `(B, NH, S, J, 6, L)`, see
/// [SlstmForwardTask].
public final class VectorSlstmKernel implements SlstmKernel {
  static final int L = VectorMath.LANES.length();

  /// The saved values of L units and one step, a vector each; the first is the gate i or f, see
  /// [SlstmForwardTask].
  static final int SAVED = 6;

  static final int Z = 1;
  static final int O = 2;
  static final int C = 3;
  static final int N = 4;
  static final int SLOPE = 5;

  /// Rows that share a pass over R: as many as the product's accumulators take, and twice that
  /// where R of one head outgrows the nearest cache.
  private static final int ROWS = 4;

  private static final int WIDE = 96;

  @Override
  public long savedBytes(Size size) {
    return saved(size, size.batch(), 0, 0) * Float.BYTES;
  }

  @Override
  public void forward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      State last,
      @Nullable MemorySegment saved,
      KernelThreads threads) {
    inputs.check(size);
    SegmentFloats.check("y", y, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    last.check("last", size);
    SegmentFloats.check("saved", saved, savedBytes(size) / Float.BYTES, "as savedBytes says");
    int rows = rowsPerTask(size, threads);
    int blocks = Math.ceilDiv(size.batch(), rows);
    var panels = new float[size.heads()][];
    threads.run(size.heads(), head -> panels[head] = panels(size, inputs.r(), head));
    threads.run(
        size.heads() * blocks,
        task -> {
          int head = task / blocks;
          int first = task % blocks * rows;
          int count = Math.min(rows, size.batch() - first);
          new SlstmForwardTask(size, inputs, panels[head], head, first, count, saved).run(y, last);
        });
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      MemorySegment saved,
      MemorySegment dy,
      StateGradients last,
      Gradients gradients,
      KernelThreads threads) {
    inputs.check(size);
    SegmentFloats.check("y", y, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    SegmentFloats.check("saved", saved, savedBytes(size) / Float.BYTES, "as savedBytes says");
    SegmentFloats.check("dy", dy, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    last.check(size);
    gradients.check(size);
    int rows = rowsPerTask(size, threads);
    int blocks = Math.ceilDiv(size.batch(), rows);
    var panels = new float[size.heads()][];
    threads.run(size.heads(), head -> panels[head] = transposedPanels(size, inputs.r(), head));
    threads.run(
        size.heads() * blocks,
        task -> {
          int head = task / blocks;
          int first = task % blocks * rows;
          int count = Math.min(rows, size.batch() - first);
          new SlstmBackwardTask(size, inputs, panels[head], head, first, count)
              .run(saved, dy, last, gradients);
        });
    int groups = groups(size);
    var before = new int[size.batch()][];
    for (int row = 0; row < before.length; row++) {
      before[row] = inputs.predecessors(size, row);
    }
    threads.run(
        size.heads() * groups,
        task ->
            new SlstmSumTask(size, task / groups, task % groups).run(inputs, before, y, gradients));
  }

  /// J, the vectors that hold the units of one head.
  static int groups(Size size) {
    return Math.ceilDiv(size.headDim(), L);
  }

  /// Where the saved activations of one row, head and step start.
  static long saved(Size size, int row, int head, int step) {
    long width = (long) groups(size) * SAVED * L;
    return (((long) row * size.heads() + head) * size.length() + step) * width;
  }

  private static int rowsPerTask(Size size, KernelThreads threads) {
    int rows = size.headDim() > WIDE ? 2 * ROWS : ROWS;
    while (rows > 1 && size.heads() * Math.ceilDiv(size.batch(), rows) < threads.count()) {
      rows /= 2;
    }
    return rows;
  }

  /// R of one head for `R y`: `(J, DHin, 4, L)`, zeros behind the last unit.
  private static float[] panels(Size size, MemorySegment r, int head) {
    int width = size.headDim();
    var panels = new float[groups(size) * width * 4 * L];
    int offset = 0;
    for (int unit = 0; unit < width; unit += L) {
      for (int in = 0; in < width; in++) {
        for (int gate = 0; gate < 4; gate++, offset += L) {
          long from = size.kernel(head, in, gate) + unit;
          SegmentVectors.load(r, from, width - unit).intoArray(panels, offset);
        }
      }
    }
    return panels;
  }

  /// R of one head for `Rᵀ g`: `(pairs of vectors of inputs, J, 4, L, 2 L)`, zeros where a unit or
  /// an input is padding.
  private static float[] transposedPanels(Size size, MemorySegment r, int head) {
    int width = size.headDim();
    int steps = groups(size) * 4 * L;
    var panels = new float[Math.ceilDiv(width, 2 * L) * steps * 2 * L];
    var line = new float[width];
    for (int in = 0; in < width; in++) {
      int panel = in / (2 * L) * steps * 2 * L + in % (2 * L);
      for (int gate = 0; gate < 4; gate++) {
        SegmentFloats.copy(r, size.kernel(head, in, gate), line, 0, width);
        for (int u = 0; u < width; u++) {
          int step = (u / L * 4 + gate) * L + u % L;
          panels[panel + step * 2 * L] = line[u];
        }
      }
    }
    return panels;
  }
}
