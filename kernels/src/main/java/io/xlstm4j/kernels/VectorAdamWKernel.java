package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.SegmentFloats.load;
import static io.xlstm4j.kernels.SegmentFloats.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// [AdamWKernel] on vectors, in the same order of operations.
public final class VectorAdamWKernel implements AdamWKernel {
  private static final int L = VectorMath.LANES.length();
  private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;

  @Override
  public void move(
      Step step,
      MemorySegment parameter,
      MemorySegment gradient,
      MemorySegment mean,
      MemorySegment square) {
    long count = AdamWKernel.count(parameter, gradient, mean, square);
    for (long i = 0; i < count; i += L) {
      int lanes = (int) Math.min(L, count - i);
      FloatVector g = load(gradient, i, lanes).mul(step.gradientScale());
      moments(step, g, mean, square, i, lanes);
      FloatVector divisor =
          load(square, i, lanes).sqrt().div(step.squareCorrection()).add(step.epsilon());
      FloatVector change = load(mean, i, lanes).div(divisor).mul(step.rate());
      store(load(parameter, i, lanes).mul(step.decay()).sub(change), parameter, i, lanes);
    }
  }

  private static void moments(
      Step step, FloatVector g, MemorySegment mean, MemorySegment square, long i, int lanes) {
    FloatVector m = load(mean, i, lanes).mul(step.beta1());
    FloatVector v = load(square, i, lanes).mul(step.beta2());
    store(g.fma(FloatVector.broadcast(VectorMath.LANES, 1 - step.beta1()), m), mean, i, lanes);
    store(g.mul(1 - step.beta2()).fma(g, v), square, i, lanes);
  }

  @Override
  public double sumOfSquares(MemorySegment gradient) {
    long count = gradient.byteSize() / Float.BYTES;
    int half = DOUBLES.length();
    DoubleVector sums = DoubleVector.zero(DOUBLES);
    long i = 0;
    for (; i + L <= count; i += L) {
      FloatVector g = load(gradient, i, L);
      for (int part = 0; part < L / half; part++) {
        var d = (DoubleVector) g.convertShape(VectorOperators.F2D, DOUBLES, part);
        sums = d.fma(d, sums);
      }
    }
    double sum = 0;
    for (double lane : sums.toArray()) {
      sum += lane;
    }
    for (; i < count; i++) {
      double g = SegmentFloats.get(gradient, i);
      sum += g * g;
    }
    return sum;
  }
}
