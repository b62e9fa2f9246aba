package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [LinearKernel] as plain loops. One task is one row of the result.
public final class ScalarLinearKernel implements LinearKernel {
  @Override
  public void forward(
      Size size,
      Rows x,
      MemorySegment w,
      @Nullable MemorySegment bias,
      @Nullable Rows plus,
      Rows y,
      Workers workers) {
    size.check(x, w, bias, y);
    size.checkPlus(plus, size.out());
    var weight = new Rows(w, size.in());
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
      Size size, Rows dy, MemorySegment w, @Nullable Rows plus, Rows dx, Workers workers) {
    size.check(dx, w, null, dy);
    size.checkPlus(plus, size.in());
    var weight = new Rows(w, size.in());
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
      Workers workers) {
    size.check(x, dw, dBias, dy);
    var weight = new Rows(dw, size.in());
    workers.run(
        size.out(),
        o -> {
          for (int i = 0; i < size.in(); i++) {
            float sum = 0;
            for (int row = 0; row < size.rows(); row++) {
              sum += dy.get(row, o) * x.get(row, i);
            }
            weight.set(o, i, sum);
          }
          if (dBias != null) {
            float sum = 0;
            for (int row = 0; row < size.rows(); row++) {
              sum += dy.get(row, o);
            }
            SegmentFloats.set(dBias, o, sum);
          }
        });
  }
}
