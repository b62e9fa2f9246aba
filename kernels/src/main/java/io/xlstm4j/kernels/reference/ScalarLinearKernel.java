package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.Rows;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workers;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [LinearKernel] as plain loops. One task is one row of the result.
public final class ScalarLinearKernel implements LinearKernel {
  /// As it is.
  record Plain(Rows w) implements Ready {}

  @Override
  public Ready forForward(int in, int out, MemorySegment w, Workers workers) {
    return new Plain(new Rows(w, in));
  }

  @Override
  public Ready forBackward(int in, int out, MemorySegment w, Workers workers) {
    return new Plain(new Rows(w, in));
  }

  @Override
  public void forward(
      Size size,
      Rows x,
      Ready w,
      @Nullable MemorySegment bias,
      @Nullable Rows plus,
      Rows y,
      Workers workers) {
    size.check(x, y, bias);
    size.checkPlus(plus, size.out());
    Rows weight = ((Plain) w).w();
    workers.run(
        size.rows(),
        row -> {
          for (int o = 0; o < size.out(); o++) {
            float sum = 0;
            for (int i = 0; i < size.in(); i++) {
              sum += x.get(row, i) * weight.get(o, i);
            }
            sum += bias == null ? 0 : SegmentFloats.get(bias, o);
            y.set(row, o, plus == null ? sum : sum + plus.get(row, o));
          }
        });
  }

  @Override
  public void backwardInput(
      Size size, Rows dy, Ready w, @Nullable Rows plus, Rows dx, Workers workers) {
    size.check(dx, dy, null);
    size.checkPlus(plus, size.in());
    Rows weight = ((Plain) w).w();
    workers.run(
        size.rows(),
        row -> {
          for (int i = 0; i < size.in(); i++) {
            float sum = 0;
            for (int o = 0; o < size.out(); o++) {
              sum += dy.get(row, o) * weight.get(o, i);
            }
            dx.set(row, i, plus == null ? sum : sum + plus.get(row, i));
          }
        });
  }

  @Override
  public void backwardWeight(
      Size size,
      Rows x,
      Rows dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias,
      boolean add,
      Workers workers) {
    size.check(x, dy, dBias);
    size.checkWeight(dw);
    var weight = new Rows(dw, size.in());
    workers.run(
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
