package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.kernels.reference.ScalarAdamWKernel;
import io.xlstm4j.kernels.vector.VectorAdamWKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AdamWKernelTest {
  private static final AdamWKernel.Step STEP =
      new AdamWKernel.Step(0.5f, 0.999f, 0.01f, 0.9f, 0.95f, 0.3f, 1e-8f);

  @ParameterizedTest(name = "{0} elements")
  @ValueSource(ints = {1, 15, 16, 17, 1000})
  void vectors_give_the_plain_loops_bits_over_several_steps(int count) {
    try (Arena arena = Arena.ofConfined()) {
      float[][] expected = run(arena, new ScalarAdamWKernel(), count);
      float[][] actual = run(arena, new VectorAdamWKernel(), count);
      for (int i = 0; i < expected.length; i++) {
        assertThat(actual[i]).isEqualTo(expected[i]);
      }
      MemorySegment gradient = gaussian(arena, 9, count);
      assertThat(new VectorAdamWKernel().sumOfSquares(gradient))
          .isCloseTo(new ScalarAdamWKernel().sumOfSquares(gradient), within(1e-9 * count));
    }
  }

  @Test
  void the_plain_loops_compute_the_definition() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment parameter = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 2);
      MemorySegment gradient = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 6);
      MemorySegment mean = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1);
      MemorySegment square = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 4);
      new ScalarAdamWKernel().update(STEP, parameter, gradient, mean, square);
      double g = 3;
      double m = 0.9 * 1 + 0.1 * g;
      double v = 0.95 * 4 + 0.05 * g * g;
      double x = 2 * 0.999 - 0.01 * m / (Math.sqrt(v) / 0.3 + 1e-8);
      assertThat((double) mean.get(ValueLayout.JAVA_FLOAT, 0)).isCloseTo(m, within(1e-6));
      assertThat((double) square.get(ValueLayout.JAVA_FLOAT, 0)).isCloseTo(v, within(1e-6));
      assertThat((double) parameter.get(ValueLayout.JAVA_FLOAT, 0)).isCloseTo(x, within(1e-6));
    }
  }

  @Test
  void sizes_that_differ_are_refused() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment two = gaussian(arena, 1, 2);
      assertThatThrownBy(
              () -> new VectorAdamWKernel().update(STEP, two, two, gaussian(arena, 1, 3), two))
          .hasMessage("mean must be as long as the parameter, 8 bytes; it has 12");
    }
  }

  private static float[][] run(Arena arena, AdamWKernel kernel, int count) {
    MemorySegment parameter = gaussian(arena, 1, count);
    MemorySegment mean = arena.allocate(parameter.byteSize(), 64);
    MemorySegment square = arena.allocate(parameter.byteSize(), 64);
    for (int step = 0; step < 3; step++) {
      kernel.update(STEP, parameter, gaussian(arena, 2 + step, count), mean, square);
    }
    return new float[][] {floats(parameter), floats(mean), floats(square)};
  }

  private static float[] floats(MemorySegment data) {
    return data.toArray(ValueLayout.JAVA_FLOAT);
  }

  private static MemorySegment gaussian(Arena arena, int seed, int count) {
    var random = new Random(seed);
    MemorySegment data = arena.allocate((long) count * Float.BYTES, 64);
    for (int i = 0; i < count; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return data;
  }
}
