package io.xlstm4j.kernels.memory;

import java.lang.foreign.MemorySegment;

/// Hands out one block of memory in parts, each on a boundary of 64 bytes. Asked the same things in
/// the same order it gives the same parts; without memory it only counts.
public final class Workspace {
  private static final long BOUNDARY = 64;

  private final MemorySegment memory;
  private final boolean counts;
  private long bytes;

  private Workspace(MemorySegment memory, boolean counts) {
    this.memory = memory;
    this.counts = counts;
  }

  public static Workspace counting() {
    return new Workspace(MemorySegment.NULL, true);
  }

  public static Workspace of(MemorySegment memory) {
    return new Workspace(memory, false);
  }

  public MemorySegment floats(long count) {
    return bytes(count * Float.BYTES);
  }

  /// @throws IllegalArgumentException if the memory is used up
  public MemorySegment bytes(long count) {
    long from = bytes;
    bytes += Math.ceilDiv(count, BOUNDARY) * BOUNDARY;
    if (counts) {
      return MemorySegment.NULL;
    }
    if (bytes > memory.byteSize()) {
      throw new IllegalArgumentException(
          "workspace (%d bytes) is smaller than what is needed".formatted(memory.byteSize()));
    }
    return memory.asSlice(from, count);
  }

  /// Returns the bytes asked for.
  public long size() {
    return bytes;
  }
}
