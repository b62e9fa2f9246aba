package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.AdamWKernel;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.reference.ScalarAdamWKernel;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// [AdamWKernel] on vectors, in the same order of operations.
public final class VectorAdamWKernel implements AdamWKernel {
  private static final int L = VectorMath.LANES.length();
  private static final VectorSpecies<Double> DOUBLES = DoubleVector.SPECIES_PREFERRED;

  private final AdamWKernel plain = new ScalarAdamWKernel();

  @Override
  public void update(
      Step step,
      MemorySegment parameter,
      MemorySegment gradient,
      MemorySegment mean,
      MemorySegment square) {
    long count = AdamWKernel.count(parameter, gradient, mean, square);
    long bound = count - count % L;
    for (long i = 0; i < bound; i += L) {
      moments(step, gradient, mean, square, i);
      FloatVector divisor = load(square, i).sqrt().div(step.squareCorrection()).add(step.epsilon());
      FloatVector change = load(mean, i).div(divisor).mul(step.rate());
      store(load(parameter, i).mul(step.decay()).sub(change), parameter, i);
    }
    if (bound < count) {
      long from = bound * Float.BYTES;
      plain.update( // the same operations, so the same bits
          step,
          parameter.asSlice(from),
          gradient.asSlice(from),
          mean.asSlice(from),
          square.asSlice(from));
    }
  }

  private static void moments(
      Step step, MemorySegment gradient, MemorySegment mean, MemorySegment square, long i) {
    FloatVector g = load(gradient, i).mul(step.gradientScale());
    FloatVector m = load(mean, i).mul(step.beta1());
    FloatVector v = load(square, i).mul(step.beta2());
    store(g.fma(FloatVector.broadcast(VectorMath.LANES, 1 - step.beta1()), m), mean, i);
    store(g.mul(1 - step.beta2()).fma(g, v), square, i);
  }

  @Override
  public double sumOfSquares(MemorySegment gradient) {
    long count = gradient.byteSize() / Float.BYTES;
    int half = DOUBLES.length();
    DoubleVector sums = DoubleVector.zero(DOUBLES);
    long i = 0;
    for (; i + L <= count; i += L) {
      FloatVector g = load(gradient, i);
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
