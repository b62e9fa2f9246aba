package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.ElementwiseKernel;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workers;
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
      @Nullable MemorySegment plus,
      MemorySegment out,
      Workers workers) {
    long count = ElementwiseKernel.count(a, b, plus, out);
    workers.run(
        pieces(count),
        piece -> {
          long end = end(piece, count);
          long i = (long) piece * PIECE;
          for (; plus != null && i + LANES <= end; i += LANES) {
            store(load(a, i).mul(load(b, i)).add(load(plus, i)), out, i);
          }
          for (; i + LANES <= end; i += LANES) {
            store(load(a, i).mul(load(b, i)), out, i);
          }
          for (; i < end; i++) {
            float product = SegmentFloats.get(a, i) * SegmentFloats.get(b, i);
            SegmentFloats.set(
                out, i, plus == null ? product : product + SegmentFloats.get(plus, i));
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
