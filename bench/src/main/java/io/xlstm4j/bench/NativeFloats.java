package io.xlstm4j.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/// Memory for kernels: float32, aligned to a cache line.
public record NativeFloats(Arena arena, Random random) {
  private static final long ALIGNMENT = 64;

  /// Zeros.
  public MemorySegment zeros(long count) {
    return bytes(count * Float.BYTES);
  }

  /// Zero bytes.
  public MemorySegment bytes(long count) {
    return arena.allocate(count, ALIGNMENT);
  }

  /// The same number everywhere.
  public MemorySegment filled(long count, float value) {
    MemorySegment made = zeros(count);
    for (long i = 0; i < count; i++) {
      made.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
    }
    return made;
  }

  /// Normal draws.
  public MemorySegment gaussian(long count, double deviation) {
    MemorySegment made = zeros(count);
    for (long i = 0; i < count; i++) {
      made.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (random.nextGaussian() * deviation));
    }
    return made;
  }
}
