package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorMath.at;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/// The norm on vectors. One task is some rows; what they add to the gradients of weight and skip is
/// summed afterwards in the order of rows.
public final class VectorHeadNormKernel implements HeadNormKernel {
  private static final int L = VectorMath.LANES.length();

  /// Rows of a task, whatever the number of threads: sums over rows are made of these parts.
  private static final int ROWS = 32;

  @Override
  public void forward(
      Size size, Inputs inputs, MemorySegment out, MemorySegment statistics, Workers workers) {
    inputs.check(size);
    size.checkRows("out", out);
    size.checkStatistics(statistics);
    workers.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> new Task(size, inputs, number).forward(out, statistics));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      Workers workers) {
    inputs.check(size);
    size.checkStatistics(statistics);
    size.checkRows("dOut", dOut);
    gradients.check(size, inputs);
    var tasks = new Task[Math.ceilDiv(size.rows(), ROWS)];
    workers.run(
        tasks.length,
        number -> {
          tasks[number] = new Task(size, inputs, number);
          tasks[number].backward(statistics, dOut, gradients);
        });
    workers.run(
        size.heads(),
        head -> {
          for (int number = 1; number < tasks.length; number++) {
            tasks[0].addSums(tasks[number], head);
          }
          tasks[0].writeSums(head, gradients);
        });
  }

  /// Arrays hold one row, `(NH, padded)`, with zeros behind each head's units.
  private static final class Task {
    private final Size size;
    private final Inputs inputs;
    private final int first;
    private final int last;
    private final int padded;

    private final float[] scale; // 1 + w
    private final float[] x; // of the row, then normalized
    private final float[] y; // out, or its gradient and then that of the normalized x
    private final float[] skip; // as all below: used with a gate only
    private final float[] xc;
    private final float[] z;
    private final float[] sigmoid;
    private final float[] dWeight;
    private final float[] dSkip;
    private final float[] lanes = new float[L];

    Task(Size size, Inputs inputs, int number) {
      this.size = size;
      this.inputs = inputs;
      first = number * ROWS;
      last = Math.min(first + ROWS, size.rows());
      padded = Math.ceilDiv(size.headDim(), L) * L;
      int all = size.heads() * padded;
      scale = new float[all];
      if (inputs.weight() != null) {
        read(inputs.weight(), 0, scale);
      }
      for (int i = 0; i < all; i++) {
        scale[i] += 1;
      }
      x = new float[all];
      y = new float[all];
      int gated = inputs.gate() == null ? 0 : all;
      skip = new float[gated];
      xc = new float[gated];
      z = new float[gated];
      sigmoid = new float[gated];
      dWeight = new float[all];
      dSkip = new float[gated];
      if (inputs.gate() != null) {
        read(inputs.gate().skip(), 0, skip);
      }
    }

    void forward(MemorySegment out, MemorySegment statistics) {
      for (int row = first; row < last; row++) {
        read(inputs.x(), row, x);
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          float mean = sum(head) / size.headDim();
          float variance = center(head, mean) / size.headDim();
          float deviation = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
          SegmentFloats.set(statistics, 2 * group, mean);
          SegmentFloats.set(statistics, 2 * group + 1, deviation);
          scale(head, deviation);
        }
        if (inputs.gate() != null) {
          readGate(inputs.gate(), row);
          for (int at = 0; at < y.length; at += L) {
            FloatVector ungated = at(y, at).add(at(skip, at).mul(at(xc, at)));
            ungated.mul(at(z, at).mul(at(sigmoid, at))).intoArray(y, at);
          }
        }
        write(y, out, row);
      }
    }

    private float sum(int head) {
      FloatVector sum = FloatVector.zero(VectorMath.LANES);
      for (int at = head * padded; at < (head + 1) * padded; at += L) {
        sum = sum.add(at(x, at));
      }
      return total(sum);
    }

    /// x ← x - mean, padding stays zero.
    ///
    /// @return the sum of squares
    private float center(int head, float mean) {
      FloatVector squares = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < padded; u += L) {
        VectorMask<Float> inside = VectorMath.LANES.indexInRange(u, size.headDim());
        FloatVector all = at(x, head * padded + u).sub(mean);
        FloatVector centered = FloatVector.zero(VectorMath.LANES).blend(all, inside);
        centered.intoArray(x, head * padded + u);
        squares = squares.add(centered.mul(centered));
      }
      return total(squares);
    }

    /// x ← x / deviation, y ← x (1 + w)
    private void scale(int head, float reciprocal) {
      for (int at = head * padded; at < (head + 1) * padded; at += L) {
        FloatVector normal = at(x, at).mul(reciprocal);
        normal.intoArray(x, at);
        normal.mul(at(scale, at)).intoArray(y, at);
      }
    }

    void backward(MemorySegment statistics, MemorySegment dOut, Gradients gradients) {
      for (int row = first; row < last; row++) {
        read(inputs.x(), row, x);
        read(dOut, row, y);
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          center(head, SegmentFloats.get(statistics, 2 * group));
          normalize(head, SegmentFloats.get(statistics, 2 * group + 1));
        }
        if (inputs.gate() != null && gradients.gate() != null) {
          readGate(inputs.gate(), row);
          throughGate();
          write(z, gradients.gate().z(), row);
          write(xc, gradients.gate().xc(), row);
        }
        throughScale();
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          throughNorm(head, SegmentFloats.get(statistics, 2 * group + 1));
        }
        write(y, gradients.x(), row);
      }
    }

    private void normalize(int head, float reciprocal) {
      for (int at = head * padded; at < (head + 1) * padded; at += L) {
        at(x, at).mul(reciprocal).intoArray(x, at);
      }
    }

    /// y from the gradient of the output to that of the scaled norm; z and xc become theirs.
    private void throughGate() {
      for (int at = 0; at < y.length; at += L) {
        FloatVector d = at(y, at);
        FloatVector gate = at(z, at);
        FloatVector s = at(sigmoid, at);
        FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
        FloatVector slope = one.sub(s).mul(gate).add(one).mul(s);
        FloatVector ungated = at(x, at).mul(at(scale, at)).add(at(skip, at).mul(at(xc, at)));
        d.mul(ungated).mul(slope).intoArray(z, at);
        d.mul(gate.mul(s)).intoArray(y, at);
      }
      for (int at = 0; at < y.length; at += L) {
        FloatVector d = at(y, at);
        at(dSkip, at).add(d.mul(at(xc, at))).intoArray(dSkip, at);
        d.mul(at(skip, at)).intoArray(xc, at);
      }
    }

    private void throughScale() {
      for (int at = 0; at < y.length; at += L) {
        FloatVector d = at(y, at);
        at(dWeight, at).add(d.mul(at(x, at))).intoArray(dWeight, at);
        d.mul(at(scale, at)).intoArray(y, at);
      }
    }

    private void throughNorm(int head, float reciprocal) {
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int at = head * padded; at < (head + 1) * padded; at += L) {
        sums = sums.add(at(y, at));
        products = products.add(at(y, at).mul(at(x, at)));
      }
      float sum = total(sums) / size.headDim();
      float product = total(products) / size.headDim();
      for (int at = head * padded; at < (head + 1) * padded; at += L) {
        FloatVector inner = at(y, at).sub(sum).sub(at(x, at).mul(product));
        inner.mul(reciprocal).intoArray(y, at);
      }
    }

    void addSums(Task other, int head) {
      for (int i = head * padded; i < (head + 1) * padded; i++) {
        dWeight[i] += other.dWeight[i];
        if (dSkip.length > 0) {
          dSkip[i] += other.dSkip[i];
        }
      }
    }

    void writeSums(int head, Gradients gradients) {
      int width = size.headDim();
      long to = (long) head * width;
      if (gradients.weight() != null) {
        SegmentFloats.write(dWeight, head * padded, gradients.weight(), to, width);
      }
      if (gradients.gate() != null) {
        SegmentFloats.write(dSkip, head * padded, gradients.gate().skip(), to, width);
      }
    }

    private void readGate(Gate gate, int row) {
      read(gate.xc(), row, xc);
      read(gate.z(), row, z);
      for (int at = 0; at < z.length; at += L) {
        VectorMath.sigmoid(at(z, at)).intoArray(sigmoid, at);
      }
    }

    private void read(MemorySegment from, int row, float[] to) {
      long start = (long) row * size.channels();
      for (int head = 0; head < size.heads(); head++) {
        long at = start + (long) head * size.headDim();
        SegmentFloats.read(from, at, to, head * padded, size.headDim());
        Arrays.fill(to, head * padded + size.headDim(), (head + 1) * padded, 0);
      }
    }

    private void write(float[] from, MemorySegment to, int row) {
      long start = (long) row * size.channels();
      for (int head = 0; head < size.heads(); head++) {
        long at = start + (long) head * size.headDim();
        SegmentFloats.write(from, head * padded, to, at, size.headDim());
      }
    }

    /// The sum over lanes in a fixed order; the vector's own reduction promises none.
    private float total(FloatVector vector) {
      vector.intoArray(lanes, 0);
      for (int half = L / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) {
          lanes[i] += lanes[i + half];
        }
      }
      return lanes[0];
    }
  }
}
