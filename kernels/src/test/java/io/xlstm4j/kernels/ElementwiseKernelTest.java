package io.xlstm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ScalarElementwiseKernel;
import io.xlstm4j.kernels.vector.VectorElementwiseKernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ElementwiseKernelTest {
  @ParameterizedTest(name = "{0} elements")
  @ValueSource(ints = {1, 15, 16, 17, 16_384, 40_001})
  void vectors_give_the_plain_loops_bits(int count) {
    var threads = new KernelThreads(2);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment a = gaussian(arena, 1, count);
      MemorySegment b = gaussian(arena, 2, count);
      MemorySegment c = gaussian(arena, 3, count);
      var scalar = new ScalarElementwiseKernel();
      var vector = new VectorElementwiseKernel();
      MemorySegment expected = gaussian(arena, 4, count);
      MemorySegment actual = gaussian(arena, 5, count);
      scalar.add(a, b, expected, threads);
      vector.add(a, b, actual, threads);
      assertThat(floats(actual)).isEqualTo(floats(expected));
      scalar.multiplyAdd(a, b, c, expected, threads);
      vector.multiplyAdd(a, b, c, actual, threads);
      assertThat(floats(actual)).isEqualTo(floats(expected));
      scalar.multiplyAdd(a, b, null, expected, threads);
      vector.multiplyAdd(a, b, null, a, threads); // in place
      assertThat(floats(a)).isEqualTo(floats(expected));
    } finally {
      threads.close();
    }
  }

  @ParameterizedTest(name = "{0} elements")
  @ValueSource(ints = {0, 1, 15, 16, 17, 127, 128, 129, 5_000})
  void a_sum_counts_every_element_of_its_part_once(int count) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = arena.allocate((count + 4L) * Float.BYTES, 4);
      double expected = 0;
      for (int i = 0; i < count + 4; i++) {
        data.setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 7); // whole numbers add up exactly
        expected += i >= 3 && i < count + 3 ? i % 7 : 0;
      }
      assertThat(new ScalarElementwiseKernel().sum(data, 3, count)).isEqualTo((float) expected);
      assertThat(new VectorElementwiseKernel().sum(data, 3, count)).isEqualTo((float) expected);
    }
  }

  @Test
  void sizes_that_differ_are_refused() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment two = gaussian(arena, 1, 2);
      MemorySegment three = gaussian(arena, 1, 3);
      assertThatThrownBy(
              () -> new VectorElementwiseKernel().add(two, three, two, new KernelThreads(1)))
          .hasMessage("b must be as long as out, 8 bytes; it has 12");
    }
  }

  private static MemorySegment gaussian(Arena arena, int seed, int count) {
    var random = new Random(seed);
    MemorySegment data = arena.allocate((long) count * Float.BYTES, 64);
    for (int i = 0; i < count; i++) {
      data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return data;
  }

  private static float[] floats(MemorySegment data) {
    return data.toArray(ValueLayout.JAVA_FLOAT);
  }
}
