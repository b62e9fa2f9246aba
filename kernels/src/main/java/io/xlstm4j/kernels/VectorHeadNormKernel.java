package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.SegmentFloats.load;
import static io.xlstm4j.kernels.SegmentFloats.store;
import static io.xlstm4j.kernels.VectorMath.at;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

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
    private final float[] swish; // of the head's gates, then the gradient of what is gated
    private final float[] slope;

    Task(Size size, Inputs inputs, float[] scale, float[] skip) {
      this.size = size;
      this.inputs = inputs;
      this.scale = scale;
      this.skip = skip;
      dWeight = new float[size.channels() + L];
      dSkip = new float[size.channels() + L];
      swish = new float[size.headDim() + L];
      slope = new float[size.headDim() + L];
    }

    void forward(int number, MemorySegment out, MemorySegment statistics) {
      Gate gate = inputs.gate();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          long from = group * size.headDim();
          int unit = head * size.headDim();
          float mean = sum(from) / size.headDim();
          float variance = squares(from, mean) / size.headDim();
          float reciprocal = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
          SegmentFloats.set(statistics, 2 * group, mean);
          SegmentFloats.set(statistics, 2 * group + 1, reciprocal);
          if (gate == null) {
            scaled(from, unit, mean, reciprocal, out);
          } else {
            swish(gate.z(), from);
            gated(gate.xc(), from, unit, mean, reciprocal, out);
          }
        }
      }
    }

    private int last(int number) {
      return Math.min((number + 1) * ROWS, size.rows());
    }

    private float sum(long from) {
      FloatVector sum = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < size.headDim(); u += L) {
        sum = sum.add(load(inputs.x(), from + u, size.headDim() - u));
      }
      return MlstmMath.sum(sum);
    }

    private float squares(long from, float mean) {
      FloatVector squares = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector centered = load(inputs.x(), from + u, count).sub(mean);
        if (count < L) {
          centered = centered.blend(0f, VectorMath.LANES.indexInRange(0, count).not());
        }
        squares = centered.fma(centered, squares);
      }
      return MlstmMath.sum(squares);
    }

    private FloatVector normal(long from, int u, float mean, float reciprocal) {
      return load(inputs.x(), from + u, size.headDim() - u).sub(mean).mul(reciprocal);
    }

    private void scaled(long from, int unit, float mean, float reciprocal, MemorySegment out) {
      for (int u = 0; u < size.headDim(); u += L) {
        FloatVector y = normal(from, u, mean, reciprocal).mul(at(scale, unit + u));
        store(y, out, from + u, size.headDim() - u);
      }
    }

    private void swish(MemorySegment z, long from) {
      for (int u = 0; u < size.headDim(); u += L) {
        FloatVector gate = load(z, from + u, size.headDim() - u);
        VectorMath.sigmoid(gate).mul(gate).intoArray(swish, u);
      }
    }

    private void gated(
        MemorySegment xc, long from, int unit, float mean, float reciprocal, MemorySegment out) {
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector y = normal(from, u, mean, reciprocal).mul(at(scale, unit + u));
        y = at(skip, unit + u).fma(load(xc, from + u, count), y);
        store(y.mul(at(swish, u)), out, from + u, count);
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
          if (gate == null || dGate == null) {
            read(dOut, from);
          } else {
            slopes(gate.z(), from);
            throughGate(gate.xc(), from, unit, mean, reciprocal, dOut, dGate.z());
            throughSkip(gate.xc(), from, unit, dOut, dGate.xc());
          }
          throughNorm(from, unit, mean, reciprocal, gradients);
        }
      }
    }

    private void read(MemorySegment dOut, long from) {
      for (int u = 0; u < size.headDim(); u += L) {
        load(dOut, from + u, size.headDim() - u).intoArray(swish, u);
      }
    }

    /// silu(z) and its derivative.
    private void slopes(MemorySegment z, long from) {
      for (int u = 0; u < size.headDim(); u += L) {
        FloatVector gate = load(z, from + u, size.headDim() - u);
        FloatVector s = VectorMath.sigmoid(gate);
        gate.mul(s).intoArray(swish, u);
        ONE.sub(s).fma(gate, ONE).mul(s).intoArray(slope, u);
      }
    }

    private void throughGate(
        MemorySegment xc,
        long from,
        int unit,
        float mean,
        float reciprocal,
        MemorySegment dOut,
        MemorySegment dZ) {
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector y = normal(from, u, mean, reciprocal).mul(at(scale, unit + u));
        y = at(skip, unit + u).fma(load(xc, from + u, count), y);
        store(load(dOut, from + u, count).mul(y).mul(at(slope, u)), dZ, from + u, count);
      }
    }

    private void throughSkip(
        MemorySegment xc, long from, int unit, MemorySegment dOut, MemorySegment dXc) {
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector d = load(dOut, from + u, count).mul(at(swish, u));
        d.intoArray(swish, u);
        d.fma(load(xc, from + u, count), at(dSkip, unit + u)).intoArray(dSkip, unit + u);
        store(d.mul(at(skip, unit + u)), dXc, from + u, count);
      }
    }

    private void throughNorm(
        long from, int unit, float mean, float reciprocal, Gradients gradients) {
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < size.headDim(); u += L) {
        FloatVector normal = normal(from, u, mean, reciprocal);
        FloatVector d = at(swish, u);
        d.fma(normal, at(dWeight, unit + u)).intoArray(dWeight, unit + u);
        FloatVector g = d.mul(at(scale, unit + u));
        g.intoArray(swish, u);
        sums = sums.add(g);
        products = g.fma(normal, products);
      }
      float sum = MlstmMath.sum(sums) / size.headDim();
      float product = MlstmMath.sum(products) / size.headDim();
      for (int u = 0; u < size.headDim(); u += L) {
        FloatVector inner = normal(from, u, mean, reciprocal).mul(product).add(sum);
        FloatVector dx = at(swish, u).sub(inner).mul(reciprocal);
        writeX(dx, from + u, size.headDim() - u, gradients.plus(), gradients.x());
      }
    }

    private static void writeX(
        FloatVector dx, long index, int count, @Nullable MemorySegment plus, MemorySegment to) {
      store(plus == null ? dx : dx.add(load(plus, index, count)), to, index, count);
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
