package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;

/// The activation in plain loops, in float64 within: what `VectorGatedFeedForwardKernel` is held
/// to. One task is one row.
public final class ScalarGatedFeedForwardKernel implements GatedFeedForwardKernel {
  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, KernelThreads threads) {
    size.checkBoth("both", both);
    size.checkOut("out", out);
    threads.run(
        size.rows(),
        row -> {
          for (int u = 0; u < size.width(); u++) {
            long offset = 2L * row * size.width() + u;
            double gate = get(both, offset);
            double up = get(both, offset + size.width());
            set(out, (long) row * size.width() + u, (float) (gate * normalCdf(gate) * up));
          }
        });
  }

  @Override
  public void backward(
      Size size,
      MemorySegment both,
      MemorySegment dOut,
      MemorySegment dBoth,
      KernelThreads threads) {
    size.checkBoth("both", both);
    size.checkOut("dOut", dOut);
    size.checkBoth("dBoth", dBoth);
    threads.run(
        size.rows(),
        row -> {
          for (int u = 0; u < size.width(); u++) {
            long offset = 2L * row * size.width() + u;
            double gate = get(both, offset);
            double up = get(both, offset + size.width());
            double d = get(dOut, (long) row * size.width() + u);
            double density = Math.exp(-gate * gate / 2) / Math.sqrt(2 * Math.PI);
            set(dBoth, offset, (float) (d * up * (normalCdf(gate) + gate * density)));
            set(dBoth, offset + size.width(), (float) (d * gate * normalCdf(gate)));
          }
        });
  }

  /// The standard normal's distribution function, `(1 + erf(x / sqrt 2)) / 2`, by the series `1/2 +
  /// density (x + x³/3 + x⁵/(3 5) + ...)`, whose terms all have one sign.
  public static double normalCdf(double x) {
    if (Math.abs(x) > 9) {
      return x > 0 ? 1 : 0; // the rest is below 1e-18
    }
    double term = x;
    double sum = x;
    for (int n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) {
      term *= x * x / n;
      sum += term;
    }
    return 0.5 + sum * Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
  }
}
