package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.ElementwiseKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// [ElementwiseKernel] on vectors. A task is a piece of the memory.
public final class VectorElementwiseKernel implements ElementwiseKernel {
  private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = SPECIES.length();
  private static final int STEP = LANES * Float.BYTES;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  @Override
  public void add(MemorySegment a, MemorySegment b, MemorySegment out, KernelThreads threads) {
    long count = ElementwiseKernel.count(a, b, null, out);
    threads.run(
        pieces(count),
        piece -> {
          long end = end(piece, count);
          long i = (long) piece * PIECE;
          for (; i + LANES <= end; i += LANES) {
            store(load(a, i).add(load(b, i)), out, i);
          }
          for (; i < end; i++) {
            SegmentFloats.set(out, i, SegmentFloats.get(a, i) + SegmentFloats.get(b, i));
          }
        });
  }

  @Override
  public void multiplyAdd(
      MemorySegment a,
      MemorySegment b,
      @Nullable MemorySegment addend,
      MemorySegment out,
      KernelThreads threads) {
    long count = ElementwiseKernel.count(a, b, addend, out);
    threads.run(
        pieces(count),
        piece -> {
          long end = end(piece, count);
          long i = (long) piece * PIECE;
          for (; addend != null && i + LANES <= end; i += LANES) {
            store(load(a, i).mul(load(b, i)).add(load(addend, i)), out, i);
          }
          for (; i + LANES <= end; i += LANES) {
            store(load(a, i).mul(load(b, i)), out, i);
          }
          for (; i < end; i++) {
            float product = SegmentFloats.get(a, i) * SegmentFloats.get(b, i);
            SegmentFloats.set(
                out, i, addend == null ? product : product + SegmentFloats.get(addend, i));
          }
        });
  }

  /// Eight sums at a time, so that no addition waits for the one before.
  @Override
  public float sum(MemorySegment data, long from, int count) {
    var s0 = FloatVector.zero(SPECIES);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    var s4 = s0;
    var s5 = s0;
    var s6 = s0;
    var s7 = s0;
    long end = from + count;
    long i = from;
    for (; i + 8L * LANES <= end; i += 8L * LANES) {
      long offset = i * Float.BYTES;
      s0 = s0.add(FloatVector.fromMemorySegment(SPECIES, data, offset, ORDER));
      s1 = s1.add(FloatVector.fromMemorySegment(SPECIES, data, offset + STEP, ORDER));
      s2 = s2.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 2L * STEP, ORDER));
      s3 = s3.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 3L * STEP, ORDER));
      s4 = s4.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 4L * STEP, ORDER));
      s5 = s5.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 5L * STEP, ORDER));
      s6 = s6.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 6L * STEP, ORDER));
      s7 = s7.add(FloatVector.fromMemorySegment(SPECIES, data, offset + 7L * STEP, ORDER));
    }
    float sum = 0;
    for (float lane : s0.add(s1).add(s2.add(s3)).add(s4.add(s5).add(s6.add(s7))).toArray()) {
      sum += lane;
    }
    for (; i < end; i++) {
      sum += SegmentFloats.get(data, i);
    }
    return sum;
  }

  private static int pieces(long count) {
    return Math.toIntExact(Math.ceilDiv(count, PIECE));
  }

  private static long end(int piece, long count) {
    return Math.min(count, (piece + 1L) * PIECE);
  }
}
