package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.memory.Workers;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/// [SwiGluKernel] on vectors. One task is some rows.
public final class VectorSwiGluKernel implements SwiGluKernel {
  private static final int L = VectorMath.LANES.length();
  private static final int ROWS = 16;
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, Workers workers) {
    size.check(both, "out", out);
    workers.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> {
          int last = Math.min((number + 1) * ROWS, size.rows());
          for (int row = number * ROWS; row < last; row++) {
            forward(size.width(), row, both, out);
          }
        });
  }

  private static void forward(int width, int row, MemorySegment both, MemorySegment out) {
    long gateAt = 2L * row * width;
    long outAt = (long) row * width;
    for (int u = 0; u < width; u += L) {
      int count = width - u;
      FloatVector gate = load(both, gateAt + u, count);
      FloatVector swish = VectorMath.sigmoid(gate).mul(gate);
      store(swish.mul(load(both, gateAt + width + u, count)), out, outAt + u, count);
    }
  }

  @Override
  public void backward(
      Size size, MemorySegment both, MemorySegment dOut, MemorySegment dBoth, Workers workers) {
    size.check(both, "dOut", dOut);
    size.check(dBoth, "dOut", dOut);
    workers.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> {
          int last = Math.min((number + 1) * ROWS, size.rows());
          for (int row = number * ROWS; row < last; row++) {
            backward(size.width(), row, both, dOut, dBoth);
          }
        });
  }

  private static void backward(
      int width, int row, MemorySegment both, MemorySegment dOut, MemorySegment dBoth) {
    long gateAt = 2L * row * width;
    long outAt = (long) row * width;
    for (int u = 0; u < width; u += L) {
      int count = width - u;
      FloatVector gate = load(both, gateAt + u, count);
      FloatVector up = load(both, gateAt + width + u, count);
      FloatVector d = load(dOut, outAt + u, count);
      FloatVector s = VectorMath.sigmoid(gate);
      FloatVector slope = ONE.sub(s).fma(gate, ONE).mul(s);
      store(slope.mul(up).mul(d), dBoth, gateAt + u, count);
      store(gate.mul(s).mul(d), dBoth, gateAt + width + u, count);
    }
  }
}
