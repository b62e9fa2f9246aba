package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.SwiGluKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;

/// [SwiGluKernel] in plain loops, in float64 within: the reference implementation that
/// `VectorSwiGluKernel` is checked against.
public final class ScalarSwiGluKernel implements SwiGluKernel {
  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, KernelThreads threads) {
    size.check(both, "out", out);
    for (int row = 0; row < size.rows(); row++) {
      for (int u = 0; u < size.width(); u++) {
        long offset = 2L * row * size.width() + u;
        double gate = get(both, offset);
        double up = get(both, offset + size.width());
        set(out, (long) row * size.width() + u, (float) (gate * sigmoid(gate) * up));
      }
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
    for (int row = 0; row < size.rows(); row++) {
      for (int u = 0; u < size.width(); u++) {
        long offset = 2L * row * size.width() + u;
        double gate = get(both, offset);
        double up = get(both, offset + size.width());
        double d = get(dOut, (long) row * size.width() + u);
        double s = sigmoid(gate);
        set(dBoth, offset, (float) (d * up * s * (1 + gate * (1 - s))));
        set(dBoth, offset + size.width(), (float) (d * gate * s));
      }
    }
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }
}
