package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.ElementwiseKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [ElementwiseKernel] as plain loops.
public final class ScalarElementwiseKernel implements ElementwiseKernel {
  @Override
  public void add(MemorySegment a, MemorySegment b, MemorySegment out, KernelThreads threads) {
    long count = ElementwiseKernel.count(a, b, null, out);
    for (long i = 0; i < count; i++) {
      set(out, i, get(a, i) + get(b, i));
    }
  }

  @Override
  public void multiplyAdd(
      MemorySegment a,
      MemorySegment b,
      @Nullable MemorySegment addend,
      MemorySegment out,
      KernelThreads threads) {
    long count = ElementwiseKernel.count(a, b, addend, out);
    for (long i = 0; i < count; i++) {
      float product = get(a, i) * get(b, i);
      set(out, i, addend == null ? product : product + get(addend, i));
    }
  }

  @Override
  public float sum(MemorySegment data, long from, int count) {
    double sum = 0;
    for (long i = from; i < from + count; i++) {
      sum += get(data, i);
    }
    return (float) sum;
  }
}
