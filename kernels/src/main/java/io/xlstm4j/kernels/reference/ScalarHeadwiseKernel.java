package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// [HeadwiseKernel] as plain loops, summing in double precision.
public final class ScalarHeadwiseKernel implements HeadwiseKernel {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  @Override
  public void forward(HeadwiseShape shape, StridedMatrix x, MemorySegment w, StridedMatrix y) {
    x.check("x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("w", w, shape.floatsOfWeight());
    y.check("y", shape.positions(), shape.heads() * shape.out());
    for (int p = 0; p < shape.positions(); p++) {
      for (int ho = 0; ho < shape.heads() * shape.out(); ho++) {
        int head = ho / shape.out();
        double sum = 0;
        for (int i = 0; i < shape.in(); i++) {
          sum += x.get(p, head * shape.in() + i) * at(w, ho * shape.in() + i);
        }
        y.set(p, ho, (float) sum);
      }
    }
  }

  @Override
  public void backward(
      HeadwiseShape shape,
      StridedMatrix x,
      MemorySegment w,
      StridedMatrix dy,
      StridedMatrix dx,
      boolean add,
      MemorySegment dw) {
    x.check("x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("w", w, shape.floatsOfWeight());
    dy.check("gradient of y", shape.positions(), shape.heads() * shape.out());
    dx.check("gradient of x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("gradient of w", dw, shape.floatsOfWeight());
    for (int p = 0; p < shape.positions(); p++) {
      for (int hi = 0; hi < shape.heads() * shape.in(); hi++) {
        int head = hi / shape.in();
        double sum = 0;
        for (int o = 0; o < shape.out(); o++) {
          int ho = head * shape.out() + o;
          sum += dy.get(p, ho) * at(w, ho * shape.in() + hi % shape.in());
        }
        dx.set(p, hi, (float) (add ? dx.get(p, hi) + sum : sum));
      }
    }
    for (int ho = 0; ho < shape.heads() * shape.out(); ho++) {
      for (int i = 0; i < shape.in(); i++) {
        int hi = ho / shape.out() * shape.in() + i;
        double sum = 0;
        for (int p = 0; p < shape.positions(); p++) {
          sum += dy.get(p, ho) * x.get(p, hi);
        }
        dw.setAtIndex(FLOAT, (long) ho * shape.in() + i, (float) sum);
      }
    }
  }

  private static double at(MemorySegment data, long index) {
    return data.getAtIndex(FLOAT, index);
  }
}
