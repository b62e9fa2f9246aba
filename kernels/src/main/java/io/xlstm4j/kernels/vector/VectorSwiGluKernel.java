package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/// [SwiGluKernel] on vectors. One task is some rows.
public final class VectorSwiGluKernel implements SwiGluKernel {
  private static final int L = VectorMath.LANES.length();
  private static final int ROWS = 16;
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, KernelThreads threads) {
    size.check(both, "out", out);
    threads.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> {
          int last = Math.min((number + 1) * ROWS, size.rows());
          for (int row = number * ROWS; row < last; row++) {
            forward(size.width(), row, both, out);
          }
        });
  }

  private static void forward(int width, int row, MemorySegment both, MemorySegment out) {
    long gateOffset = 2L * row * width;
    long outOffset = (long) row * width;
    for (int u = 0; u < width; u += L) {
      int count = width - u;
      FloatVector gate = load(both, gateOffset + u, count);
      FloatVector swish = VectorMath.sigmoid(gate).mul(gate);
      store(swish.mul(load(both, gateOffset + width + u, count)), out, outOffset + u, count);
    }
  }

  @Override
  public void backward(
      Size size,
      MemorySegment both,
      MemorySegment dOut,
      MemorySegment dBoth,
      KernelThreads threads) {
    size.check(both, "dOut", dOut);
    size.check(dBoth, "dOut", dOut);
    threads.run(
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
    long gateOffset = 2L * row * width;
    long outOffset = (long) row * width;
    for (int u = 0; u < width; u += L) {
      int count = width - u;
      FloatVector gate = load(both, gateOffset + u, count);
      FloatVector up = load(both, gateOffset + width + u, count);
      FloatVector d = load(dOut, outOffset + u, count);
      FloatVector s = VectorMath.sigmoid(gate);
      FloatVector slope = ONE.sub(s).fma(gate, ONE).mul(s);
      store(slope.mul(up).mul(d), dBoth, gateOffset + u, count);
      store(gate.mul(s).mul(d), dBoth, gateOffset + width + u, count);
    }
  }
}
