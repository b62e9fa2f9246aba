package io.xlstm4j.kernels.vector.math;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NativeFloatsTest {
  private static final int LANES = FloatVector.SPECIES_PREFERRED.length();

  /// The tests would show nothing of the direct way without it.
  @Test
  void tests_run_with_native_access() {
    assertThat(NativeFloats.class.getModule().isNativeAccessEnabled()).isTrue();
  }

  @ParameterizedTest(name = "from float {0} on")
  @ValueSource(ints = {0, 1, 3, 16, 17})
  void native_memory_and_the_heap_give_and_take_the_same(int index) {
    float[] numbers = new float[index + LANES + 1];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = i + 1;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment heap = MemorySegment.ofArray(numbers);
      MemorySegment memory = arena.allocate(heap.byteSize(), Float.BYTES).copyFrom(heap);
      MemorySegment part = memory.asSlice(Float.BYTES); // whose own first float is the second
      float[] expected = new float[LANES];
      for (int i = 0; i < LANES; i++) {
        expected[i] = index + i + 1;
      }
      assertThat(NativeFloats.load(memory, index).toArray()).isEqualTo(expected);
      assertThat(NativeFloats.load(heap, index).toArray()).isEqualTo(expected);
      assertThat(NativeFloats.load(part, index).lane(0)).isEqualTo(index + 2f);

      FloatVector twice = NativeFloats.load(memory, index).mul(2f);
      NativeFloats.store(twice, memory, index);
      NativeFloats.store(twice, heap, index);
      assertThat(memory.toArray(ValueLayout.JAVA_FLOAT)).isEqualTo(numbers);
      assertThat(numbers[index]).isEqualTo(2f * (index + 1));
      assertThat(numbers[index + LANES]).isEqualTo(index + LANES + 1f);
    }
  }

  @Test
  void only_the_first_lanes_are_touched_where_fewer_are_asked_for() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(ValueLayout.JAVA_FLOAT, 3);
      memory.copyFrom(MemorySegment.ofArray(new float[] {1, 2, 3}));
      FloatVector two = NativeFloats.load(memory, 1, 2);
      assertThat(two.lane(0)).isEqualTo(2);
      assertThat(two.lane(1)).isEqualTo(LANES > 1 ? 3 : 2);
      NativeFloats.store(two.add(10f), memory, 1, 1);
      assertThat(memory.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(1, 12, 3);
    }
  }
}
