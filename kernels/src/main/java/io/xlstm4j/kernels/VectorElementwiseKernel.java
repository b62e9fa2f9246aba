package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// [ElementwiseKernel] on vectors. A task is a piece of the memory.
public final class VectorElementwiseKernel implements ElementwiseKernel {
  private static final int LANES = FloatVector.SPECIES_PREFERRED.length();

  @Override
  public void add(MemorySegment a, MemorySegment b, MemorySegment out, Workers workers) {
    long count = ElementwiseKernel.count(a, b, null, out);
    workers.run(
        pieces(count),
        piece -> {
          long end = end(piece, count);
          for (long i = (long) piece * PIECE; i < end; i += LANES) {
            int lanes = (int) Math.min(LANES, end - i);
            FloatVector sum = SegmentFloats.load(a, i, lanes).add(SegmentFloats.load(b, i, lanes));
            SegmentFloats.store(sum, out, i, lanes);
          }
        });
  }

  @Override
  public void multiplyAdd(
      MemorySegment a,
      MemorySegment b,
      @Nullable MemorySegment plus,
      MemorySegment out,
      Workers workers) {
    long count = ElementwiseKernel.count(a, b, plus, out);
    workers.run(
        pieces(count),
        piece -> {
          long end = end(piece, count);
          for (long i = (long) piece * PIECE; i < end; i += LANES) {
            int lanes = (int) Math.min(LANES, end - i);
            FloatVector product =
                SegmentFloats.load(a, i, lanes).mul(SegmentFloats.load(b, i, lanes));
            SegmentFloats.store(
                plus == null ? product : product.add(SegmentFloats.load(plus, i, lanes)),
                out,
                i,
                lanes);
          }
        });
  }

  private static int pieces(long count) {
    return Math.toIntExact(Math.ceilDiv(count, PIECE));
  }

  private static long end(int piece, long count) {
    return Math.min(count, (piece + 1L) * PIECE);
  }
}
