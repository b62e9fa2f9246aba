package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorMath.at;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/// The norm on vectors. One task is some rows; what they add to the gradients of weight and skip is
/// summed afterwards in the order of rows.
public final class VectorHeadNormKernel implements HeadNormKernel {
  private static final int L = VectorMath.LANES.length();
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  /// Rows of a task, whatever the number of threads: sums over rows are made of these parts.
  private static final int ROWS = 32;

  @Override
  public void forward(
      Size size, Inputs inputs, MemorySegment out, MemorySegment statistics, Workers workers) {
    inputs.check(size);
    size.checkRows("out", out);
    size.checkStatistics(statistics);
    float[] scale = scale(size, inputs);
    float[] skip = skip(size, inputs);
    workers.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> new Task(size, inputs, scale, skip).forward(number, out, statistics));
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
    float[] scale = scale(size, inputs);
    float[] skip = skip(size, inputs);
    var tasks = new Task[Math.ceilDiv(size.rows(), ROWS)];
    workers.run(
        tasks.length,
        number -> {
          tasks[number] = new Task(size, inputs, scale, skip);
          tasks[number].backward(number, statistics, dOut, gradients);
        });
    for (int number = 1; number < tasks.length; number++) {
      tasks[0].addSums(tasks[number]);
    }
    tasks[0].writeSums(gradients);
  }

  /// 1 + w, with room for a vector behind.
  private static float[] scale(Size size, Inputs inputs) {
    float[] scale = new float[size.channels() + L];
    if (inputs.weight() != null) {
      SegmentFloats.copy(inputs.weight(), 0, scale, 0, size.channels());
    }
    for (int i = 0; i < scale.length; i++) {
      scale[i] += 1;
    }
    return scale;
  }

  private static float[] skip(Size size, Inputs inputs) {
    float[] skip = new float[size.channels() + L];
    if (inputs.gate() != null) {
      SegmentFloats.copy(inputs.gate().skip(), 0, skip, 0, size.channels());
    }
    return skip;
  }

  /// Works on one head of one row at a time, at float `from` of memory and `unit` of the channels.
  private static final class Task {
    private final Size size;
    private final Inputs inputs;
    private final float[] scale;
    private final float[] skip;
    private final float[] dWeight;
    private final float[] dSkip;

    // one head, zeros behind its last unit
    private final int padded;
    private final float[] x; // less its mean, then normal
    private final float[] z;
    private final float[] xc;
    private final float[] d;
    private final float[] swish; // of the gates, then the gradient of what is gated
    private final float[] slope;
    private final float[] out;

    Task(Size size, Inputs inputs, float[] scale, float[] skip) {
      this.size = size;
      this.inputs = inputs;
      this.scale = scale;
      this.skip = skip;
      dWeight = new float[size.channels() + L];
      dSkip = new float[size.channels() + L];
      padded = Math.ceilDiv(size.headDim(), L) * L;
      x = new float[padded];
      z = new float[padded];
      xc = new float[padded];
      d = new float[padded];
      swish = new float[padded];
      slope = new float[padded];
      out = new float[padded];
    }

    void forward(int number, MemorySegment out, MemorySegment statistics) {
      Gate gate = inputs.gate();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          long from = group * size.headDim();
          int unit = head * size.headDim();
          read(inputs.x(), from, x);
          float mean = sum(x) / size.headDim();
          center(mean);
          float variance = squares() / size.headDim();
          float reciprocal = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
          SegmentFloats.set(statistics, 2 * group, mean);
          SegmentFloats.set(statistics, 2 * group + 1, reciprocal);
          if (gate == null) {
            scale(unit, reciprocal);
          } else {
            read(gate.z(), from, z);
            read(gate.xc(), from, xc);
            swish();
            gate(unit, reciprocal);
          }
          SegmentFloats.write(this.out, 0, out, from, size.headDim());
        }
      }
    }

    private int last(int number) {
      return Math.min((number + 1) * ROWS, size.rows());
    }

    private void read(MemorySegment from, long index, float[] to) {
      SegmentFloats.read(from, index, to, 0, size.headDim());
    }

    private static float sum(float[] head) {
      FloatVector sum = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < head.length; u += L) {
        sum = sum.add(at(head, u));
      }
      return MlstmMath.sum(sum);
    }

    private void center(float mean) {
      for (int u = 0; u < padded; u += L) {
        at(x, u).sub(mean).intoArray(x, u);
      }
      Arrays.fill(x, size.headDim(), padded, 0);
    }

    private float squares() {
      FloatVector squares = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < padded; u += L) {
        FloatVector centered = at(x, u);
        squares = centered.fma(centered, squares);
      }
      return MlstmMath.sum(squares);
    }

    private void scale(int unit, float reciprocal) {
      for (int u = 0; u < padded; u += L) {
        at(x, u).mul(reciprocal).mul(at(scale, unit + u)).intoArray(out, u);
      }
    }

    private void swish() {
      for (int u = 0; u < padded; u += L) {
        FloatVector gate = at(z, u);
        VectorMath.sigmoid(gate).mul(gate).intoArray(swish, u);
      }
    }

    private void gate(int unit, float reciprocal) {
      for (int u = 0; u < padded; u += L) {
        FloatVector y = at(x, u).mul(reciprocal).mul(at(scale, unit + u));
        y = at(skip, unit + u).fma(at(xc, u), y);
        y.mul(at(swish, u)).intoArray(out, u);
      }
    }

    void backward(int number, MemorySegment statistics, MemorySegment dOut, Gradients gradients) {
      Gate gate = inputs.gate();
      Gate dGate = gradients.gate();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          long from = group * size.headDim();
          int unit = head * size.headDim();
          float mean = SegmentFloats.get(statistics, 2 * group);
          float reciprocal = SegmentFloats.get(statistics, 2 * group + 1);
          read(inputs.x(), from, x);
          normalize(mean, reciprocal);
          if (gate == null || dGate == null) {
            read(dOut, from, swish);
          } else {
            read(dOut, from, d);
            read(gate.z(), from, z);
            read(gate.xc(), from, xc);
            slopes();
            throughGate(unit);
            SegmentFloats.write(z, 0, dGate.z(), from, size.headDim());
            throughSkip(unit);
            SegmentFloats.write(out, 0, dGate.xc(), from, size.headDim());
          }
          throughNorm(unit, reciprocal);
          if (gradients.plus() != null) {
            read(gradients.plus(), from, d);
            add();
          }
          SegmentFloats.write(out, 0, gradients.x(), from, size.headDim());
        }
      }
    }

    private void normalize(float mean, float reciprocal) {
      for (int u = 0; u < padded; u += L) {
        at(x, u).sub(mean).mul(reciprocal).intoArray(x, u);
      }
      Arrays.fill(x, size.headDim(), padded, 0);
    }

    /// silu(z) and its derivative.
    private void slopes() {
      for (int u = 0; u < padded; u += L) {
        FloatVector gate = at(z, u);
        FloatVector s = VectorMath.sigmoid(gate);
        gate.mul(s).intoArray(swish, u);
        ONE.sub(s).fma(gate, ONE).mul(s).intoArray(slope, u);
      }
    }

    /// The gradient of z, in its place.
    private void throughGate(int unit) {
      for (int u = 0; u < padded; u += L) {
        FloatVector y = at(x, u).mul(at(scale, unit + u));
        y = at(skip, unit + u).fma(at(xc, u), y);
        at(d, u).mul(y).mul(at(slope, u)).intoArray(z, u);
      }
    }

    private void throughSkip(int unit) {
      for (int u = 0; u < padded; u += L) {
        FloatVector gated = at(d, u).mul(at(swish, u));
        gated.intoArray(swish, u);
        gated.fma(at(xc, u), at(dSkip, unit + u)).intoArray(dSkip, unit + u);
        gated.mul(at(skip, unit + u)).intoArray(out, u);
      }
    }

    private void throughNorm(int unit, float reciprocal) {
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < padded; u += L) {
        FloatVector normal = at(x, u);
        FloatVector d = at(swish, u);
        d.fma(normal, at(dWeight, unit + u)).intoArray(dWeight, unit + u);
        FloatVector g = d.mul(at(scale, unit + u));
        g.intoArray(swish, u);
        sums = sums.add(g);
        products = g.fma(normal, products);
      }
      float sum = MlstmMath.sum(sums) / size.headDim();
      float product = MlstmMath.sum(products) / size.headDim();
      for (int u = 0; u < padded; u += L) {
        FloatVector inner = at(x, u).mul(product).add(sum);
        at(swish, u).sub(inner).mul(reciprocal).intoArray(out, u);
      }
    }

    private void add() {
      for (int u = 0; u < padded; u += L) {
        at(out, u).add(at(d, u)).intoArray(out, u);
      }
    }

    void addSums(Task other) {
      for (int i = 0; i < size.channels(); i++) {
        dWeight[i] += other.dWeight[i];
        dSkip[i] += other.dSkip[i];
      }
    }

    void writeSums(Gradients gradients) {
      if (gradients.weight() != null) {
        SegmentFloats.copy(dWeight, 0, gradients.weight(), 0, size.channels());
      }
      if (gradients.gate() != null) {
        SegmentFloats.copy(dSkip, 0, gradients.gate().skip(), 0, size.channels());
      }
    }
  }
}
