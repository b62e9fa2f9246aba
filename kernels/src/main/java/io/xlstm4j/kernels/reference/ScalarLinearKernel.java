package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [LinearKernel] as plain loops. One task is one row of the result.
public final class ScalarLinearKernel implements LinearKernel {
  /// As it is.
  record Plain(StridedMatrix w) implements Ready {}

  @Override
  public Ready forForward(int in, int out, MemorySegment w, KernelThreads threads) {
    return new Plain(new StridedMatrix(w, in));
  }

  @Override
  public Ready forBackward(int in, int out, MemorySegment w, KernelThreads threads) {
    return new Plain(new StridedMatrix(w, in));
  }

  @Override
  public void forward(
      Size size,
      StridedMatrix x,
      Ready w,
      @Nullable MemorySegment bias,
      @Nullable StridedMatrix addend,
      StridedMatrix y,
      KernelThreads threads) {
    size.check(x, y, bias);
    size.checkPlus(addend, size.out());
    StridedMatrix weight = ((Plain) w).w();
    threads.run(
        size.rows(),
        row -> {
          for (int o = 0; o < size.out(); o++) {
            float sum = 0;
            for (int i = 0; i < size.in(); i++) {
              sum += x.get(row, i) * weight.get(o, i);
            }
            sum += bias == null ? 0 : SegmentFloats.get(bias, o);
            y.set(row, o, addend == null ? sum : sum + addend.get(row, o));
          }
        });
  }

  @Override
  public void backwardInput(
      Size size,
      StridedMatrix dy,
      Ready w,
      @Nullable StridedMatrix addend,
      StridedMatrix dx,
      KernelThreads threads) {
    size.check(dx, dy, null);
    size.checkPlus(addend, size.in());
    StridedMatrix weight = ((Plain) w).w();
    threads.run(
        size.rows(),
        row -> {
          for (int i = 0; i < size.in(); i++) {
            float sum = 0;
            for (int o = 0; o < size.out(); o++) {
              sum += dy.get(row, o) * weight.get(o, i);
            }
            dx.set(row, i, addend == null ? sum : sum + addend.get(row, i));
          }
        });
  }

  @Override
  public void backwardWeight(
      Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      boolean add,
      KernelThreads threads) {
    size.check(x, dy, dBias);
    size.checkWeight(dw);
    var weight = new StridedMatrix(dw, size.in());
    threads.run(
        size.out(),
        o -> {
          for (int i = 0; i < size.in(); i++) {
            float sum = add ? weight.get(o, i) : 0;
            for (int row = 0; row < size.rows(); row++) {
              sum += dy.get(row, o) * x.get(row, i);
            }
            weight.set(o, i, sum);
          }
          if (dBias != null) {
            float sum = add ? SegmentFloats.get(dBias, o) : 0;
            for (int row = 0; row < size.rows(); row++) {
              sum += dy.get(row, o);
            }
            SegmentFloats.set(dBias, o, sum);
          }
        });
  }
}
