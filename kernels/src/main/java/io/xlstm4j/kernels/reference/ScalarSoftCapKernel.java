package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.SoftCapKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;

/// [SoftCapKernel] as a plain loop: the reference implementation that `VectorSoftCapKernel` is
/// checked against.
public final class ScalarSoftCapKernel implements SoftCapKernel {
  @Override
  public void forward(float cap, MemorySegment x, MemorySegment y, KernelThreads threads) {
    long count = SoftCapKernel.count(x, y);
    for (long i = 0; i < count; i++) {
      set(y, i, (float) (cap * Math.tanh(get(x, i) / cap)));
    }
  }

  @Override
  public void backward(
      float cap, MemorySegment y, MemorySegment dy, MemorySegment dx, KernelThreads threads) {
    long count = SoftCapKernel.count(y, dy);
    SoftCapKernel.count(y, dx);
    for (long i = 0; i < count; i++) {
      double share = get(y, i) / cap;
      set(dx, i, (float) (get(dy, i) * (1 - share * share)));
    }
  }
}
