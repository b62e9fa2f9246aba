package io.xlstm4j.torch;

import java.util.Random;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Seeded random tensors, drawn in Java, so that a failure repeats.
final class Draws {
  private final Random random;
  private final ScalarType type;

  Draws(long seed, ScalarType type) {
    this.random = new Random(seed);
    this.type = type;
  }

  static Draws float64(long seed) {
    return new Draws(seed, ScalarType.Double);
  }

  /// Normal with mean 0 and the given standard deviation.
  Tensor normal(double std, long... shape) {
    double[] values = new double[count(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = std * random.nextGaussian();
    }
    return Tensors.of(values, shape).to(type);
  }

  Tensor uniform(double low, double high, long... shape) {
    double[] values = new double[count(shape)];
    for (int i = 0; i < values.length; i++) {
      values[i] = low + (high - low) * random.nextDouble();
    }
    return Tensors.of(values, shape).to(type);
  }

  int[] ids(int count, int vocab) {
    return random.ints(count, 0, vocab).toArray();
  }

  private static int count(long... shape) {
    long count = 1;
    for (long size : shape) {
      count *= size;
    }
    return Math.toIntExact(count);
  }
}
