package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;
import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// [ScaledNormKernel] on vectors. One task is some rows; what they add to the gradient of the
/// weight is summed afterwards in the order of rows.
public final class VectorScaledNormKernel implements ScaledNormKernel {
  private static final int L = VectorMath.LANES.length();
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  /// Rows of a task, whatever the number of threads: sums over rows are made of these parts.
  private static final int ROWS = 32;

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
    threads.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> new Task(size, inputs, false).forward(number, out, statistics));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      KernelThreads threads) {
    inputs.check(size);
    size.checkStatistics(statistics);
    size.checkRows("dOut", dOut);
    gradients.check(size, inputs);
    var tasks = new Task[Math.ceilDiv(size.rows(), ROWS)];
    threads.run(
        tasks.length,
        number -> {
          tasks[number] = new Task(size, inputs, true);
          tasks[number].backward(number, statistics, dOut, gradients);
        });
    for (int number = 1; number < tasks.length; number++) {
      for (int i = 0; i < size.channels(); i++) {
        tasks[0].dWeight[i] += tasks[number].dWeight[i];
      }
    }
    SegmentFloats.copy(tasks[0].dWeight, 0, gradients.weight(), 0, size.channels());
  }

  /// Works on one head of one row at a time, at float `from` of memory and `unit` of the channels.
  private static final class Task {
    private final Size size;
    private final Inputs inputs;
    private final float[] dWeight;
    private final float[] dNormal; // of the head

    Task(Size size, Inputs inputs, boolean back) {
      this.size = size;
      this.inputs = inputs;
      dWeight = new float[back ? size.channels() + L : 0];
      dNormal = new float[back ? size.headDim() + L : 0];
    }

    private int last(int number) {
      return Math.min((number + 1) * ROWS, size.rows());
    }

    void forward(int number, MemorySegment out, MemorySegment statistics) {
      int width = size.headDim();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          float mean = size.centered() ? sum(group * width) / width : 0;
          float square = squares(group * width, mean) / width;
          float reciprocal = (float) (1 / Math.sqrt(square + size.epsilon()));
          SegmentFloats.set(statistics, 2 * group, mean);
          SegmentFloats.set(statistics, 2 * group + 1, reciprocal);
          scaled(group * width, head * width, mean, reciprocal, out);
          if (inputs.gate() != null) {
            gated(inputs.gate(), row, head * width, out);
          }
        }
      }
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
        int count = size.headDim() - u;
        FloatVector weight = load(inputs.weight(), unit + u, count);
        store(normal(from, u, mean, reciprocal).mul(weight), out, from + u, count);
      }
    }

    private void gated(StridedMatrix gate, int row, int unit, MemorySegment out) {
      long gateOffset = (long) row * gate.stride() + unit;
      long outOffset = (long) row * size.channels() + unit;
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector open = VectorMath.sigmoid(load(gate.data(), gateOffset + u, count));
        store(load(out, outOffset + u, count).mul(open), out, outOffset + u, count);
      }
    }

    void backward(int number, MemorySegment statistics, MemorySegment dOut, Gradients gradients) {
      StridedMatrix gate = inputs.gate();
      StridedMatrix dGate = gradients.gate();
      int width = size.headDim();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int head = 0; head < size.heads(); head++) {
          long group = (long) row * size.heads() + head;
          float mean = SegmentFloats.get(statistics, 2 * group);
          float reciprocal = SegmentFloats.get(statistics, 2 * group + 1);
          if (gate == null || dGate == null) {
            SegmentVectors.read(dOut, group * width, dNormal, 0, width);
          } else {
            throughGate(gate, dGate, row, head * width, mean, reciprocal, dOut);
          }
          throughNorm(group * width, head * width, mean, reciprocal, gradients);
        }
      }
    }

    private void throughGate(
        StridedMatrix gate,
        StridedMatrix dGate,
        int row,
        int unit,
        float mean,
        float reciprocal,
        MemorySegment dOut) {
      long gateOffset = (long) row * gate.stride() + unit;
      long dGateAt = (long) row * dGate.stride() + unit;
      long from = (long) row * size.channels() + unit;
      for (int u = 0; u < size.headDim(); u += L) {
        int count = size.headDim() - u;
        FloatVector open = VectorMath.sigmoid(load(gate.data(), gateOffset + u, count));
        FloatVector d = load(dOut, from + u, count).mul(open);
        d.intoArray(dNormal, u);
        FloatVector y =
            normal(from, u, mean, reciprocal).mul(load(inputs.weight(), unit + u, count));
        store(d.mul(y).mul(ONE.sub(open)), dGate.data(), dGateAt + u, count);
      }
    }

    private void throughNorm(
        long from, int unit, float mean, float reciprocal, Gradients gradients) {
      int width = size.headDim();
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int u = 0; u < width; u += L) {
        FloatVector normal = normal(from, u, mean, reciprocal);
        FloatVector d = at(dNormal, u);
        d.fma(normal, at(dWeight, unit + u)).intoArray(dWeight, unit + u);
        FloatVector g = d.mul(load(inputs.weight(), unit + u, width - u)); // zeros behind
        g.intoArray(dNormal, u);
        sums = sums.add(g);
        products = g.fma(normal, products);
      }
      float sum = size.centered() ? MlstmMath.sum(sums) / width : 0;
      float product = MlstmMath.sum(products) / width;
      for (int u = 0; u < width; u += L) {
        FloatVector inner = normal(from, u, mean, reciprocal).mul(product).add(sum);
        FloatVector dx = at(dNormal, u).sub(inner).mul(reciprocal);
        writeX(dx, from + u, width - u, gradients.addend(), gradients.x());
      }
    }

    private static void writeX(
        FloatVector dx, long index, int count, @Nullable MemorySegment addend, MemorySegment to) {
      store(addend == null ? dx : dx.add(load(addend, index, count)), to, index, count);
    }
  }
}
