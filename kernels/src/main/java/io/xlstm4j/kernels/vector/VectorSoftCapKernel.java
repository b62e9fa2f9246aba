package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.SoftCapKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/// [SoftCapKernel] on vectors. A task is a piece of the memory.
public final class VectorSoftCapKernel implements SoftCapKernel {
  private static final int L = VectorMath.LANES.length();
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  @Override
  public void forward(float cap, MemorySegment x, MemorySegment y, KernelThreads threads) {
    long count = SoftCapKernel.count(x, y);
    threads.run(SoftCapKernel.pieces(count), piece -> forward(cap, x, y, piece, count));
  }

  private static void forward(float cap, MemorySegment x, MemorySegment y, int piece, long count) {
    long from = (long) piece * PIECE;
    int width = (int) Math.min(PIECE, count - from);
    for (int i = 0; i < width; i += L) {
      FloatVector share = load(x, from + i, width - i).div(cap);
      store(VectorMath.tanh(share).mul(cap), y, from + i, width - i);
    }
  }

  @Override
  public void backward(
      float cap, MemorySegment y, MemorySegment dy, MemorySegment dx, KernelThreads threads) {
    long count = SoftCapKernel.count(y, dy);
    SoftCapKernel.count(y, dx);
    threads.run(SoftCapKernel.pieces(count), piece -> backward(cap, y, dy, dx, piece, count));
  }

  private static void backward(
      float cap, MemorySegment y, MemorySegment dy, MemorySegment dx, int piece, long count) {
    long from = (long) piece * PIECE;
    int width = (int) Math.min(PIECE, count - from);
    for (int i = 0; i < width; i += L) {
      FloatVector share = load(y, from + i, width - i).div(cap);
      FloatVector slope = ONE.sub(share.mul(share));
      store(load(dy, from + i, width - i).mul(slope), dx, from + i, width - i);
    }
  }
}
