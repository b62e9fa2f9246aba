package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// Float memory for tests, freed by the collector.
public final class Floats {
  private Floats() {}

  /// Normally distributed numbers, exact in float32.
  public static double[] gaussian(Random random, int count) {
    var made = new double[count];
    for (int i = 0; i < count; i++) {
      made[i] = (float) random.nextGaussian();
    }
    return made;
  }

  public static MemorySegment of(double... values) {
    MemorySegment made = garbage(values.length);
    for (int i = 0; i < values.length; i++) {
      SegmentFloats.set(made, i, (float) values[i]);
    }
    return made;
  }

  /// Memory that shows whether all of it is overwritten.
  public static MemorySegment garbage(long count) {
    MemorySegment made = Arena.ofAuto().allocate(count * Float.BYTES, Float.BYTES);
    for (long i = 0; i < count; i++) {
      SegmentFloats.set(made, i, Float.NaN);
    }
    return made;
  }

  public static @Nullable MemorySegment bytes(byte @Nullable [] values) {
    return values == null ? null : Arena.ofAuto().allocateFrom(ValueLayout.JAVA_BYTE, values);
  }

  public static double[] read(MemorySegment from) {
    var to = new double[(int) (from.byteSize() / Float.BYTES)];
    for (int i = 0; i < to.length; i++) {
      to[i] = SegmentFloats.get(from, i);
    }
    return to;
  }

  /// Central differences of `loss`, which reads `at`.
  public static double[] differences(double[] offset, ToDoubleFunction<double[]> loss) {
    var gradient = new double[offset.length];
    double step = 1e-5;
    for (int i = 0; i < offset.length; i++) {
      double value = offset[i];
      offset[i] = value + step;
      double above = loss.applyAsDouble(offset);
      offset[i] = value - step;
      double below = loss.applyAsDouble(offset);
      offset[i] = value;
      gradient[i] = (above - below) / (2 * step);
    }
    return gradient;
  }
}
