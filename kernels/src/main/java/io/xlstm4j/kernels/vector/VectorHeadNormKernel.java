package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// The norm on vectors. One task is some rows; what they add to the gradients of weight and skip is
/// summed afterwards in the order of rows.
///
/// A few rows at a time lie in arrays that stay in the nearest cache, each head padded with zeros
/// to whole vectors, so that most loops run over all of them at once ([ArrayLoops]).
public final class VectorHeadNormKernel implements HeadNormKernel {
  private static final int L = VectorMath.LANES.length();
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  /// Rows of a task, whatever the number of threads: sums over rows are made of these parts.
  private static final int ROWS = 64;

  /// Floats of an array.
  private static final int PIECE = 1024;

  private final ConcurrentLinkedQueue<Scratch> scratches = new ConcurrentLinkedQueue<>();

  @Override
  public void forward(
      Size size,
      Inputs inputs,
      MemorySegment out,
      MemorySegment statistics,
      KernelThreads threads) {
    inputs.check(size);
    size.checkRows("out", out);
    size.checkStatistics(statistics);
    var channels = new Channels(size, inputs);
    int tasks = Math.ceilDiv(size.rows(), ROWS);
    if (NativeHeadNorm.takes(size, inputs, out)) {
      threads.run(
          tasks,
          number ->
              new NativeHeadNorm(size, inputs, channels.scale, channels.skip)
                  .forward(number * ROWS, last(size, number), out, statistics));
      return;
    }
    threads.run(
        tasks,
        number ->
            with(scratch ->
                new Task(size, inputs, channels, scratch).forward(number, out, statistics)));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment out,
      KernelThreads threads) {
    inputs.check(size);
    size.checkStatistics(statistics);
    size.checkRows("dOut", dOut);
    size.checkRows("out", out);
    gradients.check(size, inputs);
    var channels = new Channels(size, inputs);
    var sums = new Channels[Math.ceilDiv(size.rows(), ROWS)];
    Arrays.setAll(sums, _ -> new Channels(size));
    if (NativeHeadNorm.takes(size, inputs, dOut, gradients, out)) {
      threads.run(
          sums.length,
          number ->
              new NativeHeadNorm(size, inputs, channels.scale, channels.skip)
                  .backward(
                      number * ROWS,
                      last(size, number),
                      statistics,
                      dOut,
                      gradients,
                      out,
                      sums[number].scale,
                      sums[number].skip));
    } else {
      threads.run(
          sums.length,
          number ->
              with(scratch ->
                  new Task(size, inputs, channels, scratch)
                      .backward(number, statistics, dOut, gradients, out, sums[number])));
    }
    for (int number = 1; number < sums.length; number++) {
      sums[0].add(sums[number]);
    }
    sums[0].write(size, gradients);
  }

  private static int last(Size size, int number) {
    return Math.min((number + 1) * ROWS, size.rows());
  }

  private interface Use {
    void on(Scratch scratch);
  }

  private void with(Use use) {
    @Nullable Scratch free = scratches.poll();
    Scratch scratch = free == null ? new Scratch() : free;
    use.on(scratch);
    scratches.add(scratch);
  }

  /// The workspace of one thread: numbers of a piece.
  private static final class Scratch {
    private float[] x = {};
    private float[] z = {};
    private float[] xc = {};
    private float[] d = {};
    private float[] swish = {};
    private float[] slope = {};
    private float[] y = {};
    private float[] dx = {};
    private float[] statistics = {};
    private int headDim;

    /// Zeros all of them where the shape is a new one: padding is zero, and stays so.
    void fit(int floats, int groups, int headDim) {
      if (x.length == floats && statistics.length == groups * 2 && this.headDim == headDim) {
        return;
      }
      this.headDim = headDim;
      x = new float[floats];
      z = new float[floats];
      xc = new float[floats];
      d = new float[floats];
      swish = new float[floats];
      slope = new float[floats];
      y = new float[floats];
      dx = new float[floats];
      statistics = new float[groups * 2];
    }
  }

  /// A head's units in whole vectors.
  private static int padded(Size size) {
    return Math.ceilDiv(size.headDim(), L) * L;
  }

  /// Numbers of each channel, or sums over rows, as `(NH, padded)`.
  ///
  /// @param scale 1 + w; of gradients that of w
  private record Channels(float[] scale, float[] skip) {
    Channels(Size size) {
      this(new float[size.heads() * padded(size)], new float[size.heads() * padded(size)]);
    }

    Channels(Size size, Inputs inputs) {
      this(size);
      for (int head = 0; head < size.heads(); head++) {
        long from = (long) head * size.headDim();
        int to = head * padded(size);
        if (inputs.weight() != null) {
          SegmentFloats.copy(inputs.weight(), from, scale, to, size.headDim());
        }
        if (inputs.gate() != null) {
          SegmentFloats.copy(inputs.gate().skip(), from, skip, to, size.headDim());
        }
      }
      for (int i = 0; i < scale.length; i++) {
        scale[i] += 1;
      }
    }

    void add(Channels other) {
      for (int i = 0; i < scale.length; i++) {
        scale[i] += other.scale[i];
        skip[i] += other.skip[i];
      }
    }

    void write(Size size, Gradients gradients) {
      for (int head = 0; head < size.heads(); head++) {
        int from = head * padded(size);
        long to = (long) head * size.headDim();
        if (gradients.weight() != null) {
          SegmentFloats.copy(scale, from, gradients.weight(), to, size.headDim());
        }
        if (gradients.gate() != null) {
          SegmentFloats.copy(skip, from, gradients.gate().skip(), to, size.headDim());
        }
      }
    }
  }

  /// Arrays are `(rows of a piece, NH, padded)`.
  private static final class Task {
    private static final ArrayLoops<Task> NORM =
        new ArrayLoops<Task>(List.of(Task::normalize, Task::scale));
    private static final ArrayLoops<Task> NORM_AND_GATE =
        new ArrayLoops<Task>(List.of(Task::normalize, Task::swish, Task::gate));
    private static final ArrayLoops<Task> NORM_BACK =
        new ArrayLoops<Task>(
            List.of(Task::normalizeAgain, Task::scale, Task::throughScale, Task::throughNorm));
    private static final ArrayLoops<Task> GATE_AND_NORM_BACK =
        new ArrayLoops<Task>(
            List.of(
                Task::normalizeAgain,
                Task::slopes,
                Task::throughGate,
                Task::throughSkip,
                Task::throughScale,
                Task::throughNorm));

    private final Size size;
    private final Inputs inputs;
    private final float[] scale;
    private final float[] skip;
    private final int padded;
    private final int wide; // floats of a row
    private final int most; // rows of a piece

    private final float[] x; // less its mean, then normal
    private final float[] z; // then its gradient
    private final float[] xc;
    private final float[] d;
    private final float[] swish; // of the gates, then the gradient of what is gated
    private final float[] slope;
    private final float[] y; // what the forward pass gives
    private final float[] dx;
    private final float[] statistics; // (rows of a piece, NH, 2)

    // now
    private int first;
    private int floats; // of the piece
    private Channels sums;

    Task(Size size, Inputs inputs, Channels channels, Scratch scratch) {
      this.size = size;
      this.inputs = inputs;
      scale = channels.scale;
      skip = channels.skip;
      padded = padded(size);
      wide = size.heads() * padded;
      most = Math.clamp(PIECE / wide, 1, Math.min(ROWS, size.rows()));
      scratch.fit(most * wide, most * size.heads(), size.headDim());
      x = scratch.x;
      z = scratch.z;
      xc = scratch.xc;
      d = scratch.d;
      swish = scratch.swish;
      slope = scratch.slope;
      y = scratch.y;
      dx = scratch.dx;
      statistics = scratch.statistics;
      sums = channels;
    }

    private void piece(int from, int last) {
      first = from;
      floats = Math.min(most, last - from) * wide;
    }

    void forward(int number, MemorySegment to, MemorySegment statisticsOut) {
      Gate gate = inputs.gate();
      for (int row = number * ROWS; row < last(size, number); row += most) {
        piece(row, last(size, number));
        read(inputs.x(), x);
        if (gate != null) {
          read(gate.z(), z);
          read(gate.xc(), xc);
        }
        (gate == null ? NORM : NORM_AND_GATE).run(this);
        long group = (long) row * size.heads();
        SegmentFloats.copy(statistics, 0, statisticsOut, group * 2, floats / padded * 2);
        write(y, to);
      }
    }

    private void read(MemorySegment from, float[] to) {
      int width = size.headDim();
      long index = (long) first * size.channels();
      if (width == padded) {
        SegmentVectors.read(from, index, to, 0, floats);
        return;
      }
      for (int offset = 0; offset < floats; offset += padded) {
        SegmentVectors.read(from, index, to, offset, width);
        index += width;
      }
    }

    private void write(float[] from, MemorySegment to) {
      int width = size.headDim();
      long index = (long) first * size.channels();
      if (width == padded) {
        SegmentVectors.write(from, 0, to, index, floats);
        return;
      }
      for (int offset = 0; offset < floats; offset += padded) {
        SegmentVectors.write(from, offset, to, index, width);
        index += width;
      }
    }

    private void normalize() {
      for (int head = 0; head < floats / padded; head++) {
        normalize(head * padded, head * 2);
      }
    }

    /// One head of x, and its statistics.
    private void normalize(int start, int statistic) {
      FloatVector sum = FloatVector.zero(VectorMath.LANES);
      for (int u = start; u < start + padded; u += L) {
        sum = sum.add(at(x, u));
      }
      float mean = MlstmMath.sum(sum) / size.headDim();
      for (int u = start; u < start + padded; u += L) {
        at(x, u).sub(mean).intoArray(x, u);
      }
      Arrays.fill(x, start + size.headDim(), start + padded, 0);
      FloatVector squares = FloatVector.zero(VectorMath.LANES);
      for (int u = start; u < start + padded; u += L) {
        FloatVector centered = at(x, u);
        squares = centered.fma(centered, squares);
      }
      float variance = MlstmMath.sum(squares) / size.headDim();
      float reciprocal = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
      statistics[statistic] = mean;
      statistics[statistic + 1] = reciprocal;
      for (int u = start; u < start + padded; u += L) {
        at(x, u).mul(reciprocal).intoArray(x, u);
      }
    }

    private void scale() {
      for (int start = 0; start < floats; start += wide) {
        for (int u = 0; u < wide; u += L) {
          at(x, start + u).mul(at(scale, u)).intoArray(y, start + u);
        }
      }
    }

    private void swish() {
      for (int u = 0; u < floats; u += L) {
        VectorMath.sigmoid(at(z, u)).intoArray(swish, u);
      }
      for (int u = 0; u < floats; u += L) {
        at(swish, u).mul(at(z, u)).intoArray(swish, u);
      }
    }

    private void gate() {
      for (int start = 0; start < floats; start += wide) {
        for (int u = 0; u < wide; u += L) {
          FloatVector open = at(x, start + u).mul(at(scale, u));
          open = at(skip, u).fma(at(xc, start + u), open);
          open.mul(at(swish, start + u)).intoArray(y, start + u);
        }
      }
    }

    void backward(
        int number,
        MemorySegment statisticsIn,
        MemorySegment dOut,
        Gradients gradients,
        @Nullable MemorySegment outAgain,
        Channels sums) {
      this.sums = sums;
      Gate gate = inputs.gate();
      Gate dGate = gradients.gate();
      for (int row = number * ROWS; row < last(size, number); row += most) {
        piece(row, last(size, number));
        read(inputs.x(), x);
        long group = (long) row * size.heads();
        SegmentFloats.copy(statisticsIn, group * 2, statistics, 0, floats / padded * 2);
        if (gate == null || dGate == null) {
          read(dOut, swish);
          NORM_BACK.run(this);
        } else {
          read(dOut, d);
          read(gate.z(), z);
          read(gate.xc(), xc);
          GATE_AND_NORM_BACK.run(this);
          write(z, dGate.z());
          write(xc, dGate.xc());
        }
        if (gradients.addend() != null) {
          read(gradients.addend(), d);
          add();
        }
        write(dx, gradients.x());
        if (outAgain != null) {
          write(y, outAgain);
        }
      }
    }

    private void add() {
      for (int u = 0; u < floats; u += L) {
        at(dx, u).add(at(d, u)).intoArray(dx, u);
      }
    }

    private void normalizeAgain() {
      for (int head = 0; head < floats / padded; head++) {
        float mean = statistics[2 * head];
        float reciprocal = statistics[2 * head + 1];
        int start = head * padded;
        for (int u = start; u < start + padded; u += L) {
          at(x, u).sub(mean).mul(reciprocal).intoArray(x, u);
        }
        Arrays.fill(x, start + size.headDim(), start + padded, 0);
      }
    }

    /// silu(z) and its derivative.
    private void slopes() {
      for (int u = 0; u < floats; u += L) {
        VectorMath.sigmoid(at(z, u)).intoArray(slope, u);
      }
      for (int u = 0; u < floats; u += L) {
        FloatVector gate = at(z, u);
        FloatVector s = at(slope, u);
        gate.mul(s).intoArray(swish, u);
        ONE.sub(s).fma(gate, ONE).mul(s).intoArray(slope, u);
      }
    }

    private void throughGate() {
      for (int start = 0; start < floats; start += wide) {
        for (int u = 0; u < wide; u += L) {
          FloatVector open = at(x, start + u).mul(at(scale, u));
          open = at(skip, u).fma(at(xc, start + u), open);
          open.mul(at(swish, start + u)).intoArray(y, start + u);
          at(d, start + u).mul(open).mul(at(slope, start + u)).intoArray(z, start + u);
        }
      }
    }

    /// The gradient of xc, in its place.
    private void throughSkip() {
      float[] dSkip = sums.skip;
      for (int start = 0; start < floats; start += wide) {
        for (int u = 0; u < wide; u += L) {
          FloatVector gated = at(d, start + u).mul(at(swish, start + u));
          gated.intoArray(swish, start + u);
          gated.fma(at(xc, start + u), at(dSkip, u)).intoArray(dSkip, u);
          gated.mul(at(skip, u)).intoArray(xc, start + u);
        }
      }
    }

    private void throughScale() {
      float[] dScale = sums.scale;
      for (int start = 0; start < floats; start += wide) {
        for (int u = 0; u < wide; u += L) {
          FloatVector gated = at(swish, start + u);
          gated.fma(at(x, start + u), at(dScale, u)).intoArray(dScale, u);
          gated.mul(at(scale, u)).intoArray(swish, start + u);
        }
      }
    }

    private void throughNorm() {
      for (int head = 0; head < floats / padded; head++) {
        throughNorm(head * padded, statistics[2 * head + 1]);
      }
    }

    /// From the gradient of a normal head to that of the head.
    private void throughNorm(int start, float reciprocal) {
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int u = start; u < start + padded; u += L) {
        FloatVector g = at(swish, u);
        sums = sums.add(g);
        products = g.fma(at(x, u), products);
      }
      float sum = MlstmMath.sum(sums) / size.headDim();
      float product = MlstmMath.sum(products) / size.headDim();
      for (int u = start; u < start + padded; u += L) {
        FloatVector inner = at(x, u).mul(product).add(sum);
        at(swish, u).sub(inner).mul(reciprocal).intoArray(dx, u);
      }
    }
  }
}
