package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.AdamWKernel;
import java.lang.foreign.MemorySegment;

/// [AdamWKernel] as plain loops.
public final class ScalarAdamWKernel implements AdamWKernel {
  @Override
  public void update(
      Step step,
      MemorySegment parameter,
      MemorySegment gradient,
      MemorySegment mean,
      MemorySegment square) {
    long count = AdamWKernel.count(parameter, gradient, mean, square);
    for (long i = 0; i < count; i++) {
      float g = get(gradient, i) * step.gradientScale();
      float m = Math.fma(1 - step.beta1(), g, get(mean, i) * step.beta1());
      float v = Math.fma((1 - step.beta2()) * g, g, get(square, i) * step.beta2());
      set(mean, i, m);
      set(square, i, v);
      float divisor = (float) Math.sqrt(v) / step.squareCorrection() + step.epsilon();
      set(parameter, i, get(parameter, i) * step.decay() - step.rate() * (m / divisor));
    }
  }

  @Override
  public double sumOfSquares(MemorySegment gradient) {
    double sum = 0;
    for (long i = 0; i < gradient.byteSize() / Float.BYTES; i++) {
      double g = get(gradient, i);
      sum += g * g;
    }
    return sum;
  }
}
