package io.xlstm4j.kernels.vector.math;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// Vectors of floats in native memory, for loops over memory whose size was checked before and
/// which stays open meanwhile.
///
/// Java's own way to a segment knows neither where the memory lies nor that it stays open, and
/// checks both for every vector as soon as the process has used vectors on a heap segment anywhere:
/// reinterpreting a float vector as integers does that until it is compiled, so every process does.
/// Here all memory is one segment, a constant, of which nothing needs to be checked. Where native
/// access is not enabled, [SegmentVectors] is used instead.
public final class NativeFloats {
  private static final boolean DIRECT = NativeFloats.class.getModule().isNativeAccessEnabled();

  /// All memory, from address 0 on; empty where it is not to be had.
  public static final MemorySegment MEMORY =
      DIRECT ? MemorySegment.NULL.reinterpret(Long.MAX_VALUE) : MemorySegment.NULL;

  /// Every address is at most that. The compiler does not know it and would check each vector of
  /// each tile against the end of memory; so it does.
  public static final long ADDRESSES = (1L << 56) - 1;

  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private NativeFloats() {}

  /// Returns whether native memory is read without checks here.
  public static boolean areDirect() {
    return DIRECT;
  }

  /// The vector from float `index` on.
  public static FloatVector load(MemorySegment from, long index) {
    if (!DIRECT || !from.isNative()) {
      return SegmentVectors.load(from, index);
    }
    try {
      return FloatVector.fromMemorySegment(
          LANES, MEMORY, from.address() + index * Float.BYTES, ORDER);
    } finally {
      Reference.reachabilityFence(from); // the collector may own the memory
    }
  }

  public static void store(FloatVector value, MemorySegment to, long index) {
    if (!DIRECT || !to.isNative()) {
      SegmentVectors.store(value, to, index);
      return;
    }
    try {
      value.intoMemorySegment(MEMORY, to.address() + index * Float.BYTES, ORDER);
    } finally {
      Reference.reachabilityFence(to);
    }
  }

  /// As [SegmentVectors#load(MemorySegment, long, int)].
  public static FloatVector load(MemorySegment from, long index, int count) {
    return count >= LANES.length() ? load(from, index) : SegmentVectors.load(from, index, count);
  }

  /// Stores the first `count` lanes.
  public static void store(FloatVector value, MemorySegment to, long index, int count) {
    if (count >= LANES.length()) {
      store(value, to, index);
    } else {
      SegmentVectors.store(value, to, index, count);
    }
  }
}
