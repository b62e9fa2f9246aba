package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.MatrixProduct.Block;
import io.xlstm4j.kernels.Rows;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workers;
import io.xlstm4j.kernels.vector.gemm.Transposition;
import io.xlstm4j.kernels.vector.gemm.VectorMatrixProduct;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.ConcurrentLinkedQueue;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// [HeadwiseKernel] on the Vector API. A task is a slice of the positions; their parts of the
/// weight's gradient are added up in the order of the slices.
///
/// Blocks of 4 x 4 are done a vector of heads at a time, by shuffles within each block; others by
/// matrix products, head after head.
public final class VectorHeadwiseKernel implements HeadwiseKernel {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final int WIDTH = LANES.length();
  private static final int SLICE = 128; // positions at least
  private static final int SLICES = 64; // at most
  private static final int ROWS = 16; // positions that share a sum of the weight's gradient

  private final Workers workers;
  private final ConcurrentLinkedQueue<Scratch> scratch = new ConcurrentLinkedQueue<>();

  public VectorHeadwiseKernel(Workers workers) {
    this.workers = workers;
  }

  @Override
  public void forward(HeadwiseShape shape, Rows x, MemorySegment w, Rows y) {
    x.check("x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("w", w, shape.floatsOfWeight());
    y.check("y", shape.positions(), shape.heads() * shape.out());
    int slices = slices(shape);
    if (isFour(shape)) {
      float[] weights = byInput(shape, w);
      workers.run(
          slices,
          s ->
              fourByFour(
                  shape, x, weights, y, first(shape, slices, s), first(shape, slices, s + 1)));
      return;
    }
    float[] weights =
        w.asSlice(0, (long) shape.floatsOfWeight() * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    workers.run(
        slices,
        s -> {
          Scratch work = borrow();
          forward(shape, work, x, weights, y, first(shape, slices, s), first(shape, slices, s + 1));
          scratch.add(work);
        });
  }

  @Override
  public void backward(
      HeadwiseShape shape,
      Rows x,
      MemorySegment w,
      Rows dy,
      Rows dx,
      boolean add,
      MemorySegment dw) {
    x.check("x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("w", w, shape.floatsOfWeight());
    dy.check("gradient of y", shape.positions(), shape.heads() * shape.out());
    dx.check("gradient of x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("gradient of w", dw, shape.floatsOfWeight());
    int slices = slices(shape);
    if (isFour(shape)) {
      float[] weights = byOutput(shape, w);
      float[][] parts = new float[slices][weights.length];
      workers.run(
          slices,
          s ->
              fourByFourBack(
                  shape,
                  x,
                  weights,
                  dy,
                  dx,
                  add,
                  parts[s],
                  first(shape, slices, s),
                  first(shape, slices, s + 1)));
      sum(parts);
      fromByInput(shape, parts[0], dw);
      return;
    }
    float[] weights =
        w.asSlice(0, (long) shape.floatsOfWeight() * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    float[][] parts = new float[slices][weights.length];
    workers.run(
        slices,
        s -> {
          Scratch work = borrow();
          backward(
              shape,
              work,
              x,
              weights,
              dy,
              dx,
              add,
              parts[s],
              first(shape, slices, s),
              first(shape, slices, s + 1));
          scratch.add(work);
        });
    sum(parts);
    MemorySegment.copy(parts[0], 0, dw, ValueLayout.JAVA_FLOAT, 0, weights.length);
  }

  // ---- slices: of the shape only, so that sums do not depend on the threads --------------------

  private static int slices(HeadwiseShape shape) {
    return Math.clamp(shape.positions() / SLICE, 1, SLICES);
  }

  private static int first(HeadwiseShape shape, int slices, int slice) {
    return (int) ((long) shape.positions() * slice / slices);
  }

  private static void sum(float[][] parts) {
    for (int s = 1; s < parts.length; s++) {
      for (int i = 0; i < parts[0].length; i++) {
        parts[0][i] += parts[s][i];
      }
    }
  }

  // ---- blocks of 4 x 4 -------------------------------------------------------------------------

  private static boolean isFour(HeadwiseShape shape) {
    return shape.in() == 4 && shape.out() == 4 && WIDTH % 4 == 0;
  }

  private static int wide(HeadwiseShape shape) {
    return MlstmMath.wholeVectors(shape.heads() * 4);
  }

  /// `(4, wide)`: weight of input j of the block, by output channel.
  private static float[] byInput(HeadwiseShape shape, MemorySegment w) {
    int wide = wide(shape);
    float[] result = new float[4 * wide];
    for (int i = 0; i < shape.heads() * 16; i++) {
      result[i % 4 * wide + i / 4] = w.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    return result;
  }

  private static void fromByInput(HeadwiseShape shape, float[] from, MemorySegment w) {
    int wide = wide(shape);
    for (int i = 0; i < shape.heads() * 16; i++) {
      w.setAtIndex(ValueLayout.JAVA_FLOAT, i, from[i % 4 * wide + i / 4]);
    }
  }

  /// `(4, wide)`: weight of output j of the block, by input channel.
  private static float[] byOutput(HeadwiseShape shape, MemorySegment w) {
    int wide = wide(shape);
    float[] result = new float[4 * wide];
    for (int i = 0; i < shape.heads() * 16; i++) {
      int channel = i / 16 * 4 + i % 4;
      result[i / 4 % 4 * wide + channel] = w.getAtIndex(ValueLayout.JAVA_FLOAT, i);
    }
    return result;
  }

  private static void fourByFour(
      HeadwiseShape shape, Rows x, float[] weights, Rows y, int from, int to) {
    int channels = shape.heads() * 4;
    int wide = wide(shape);
    for (int p = from; p < to; p += ROWS) {
      int rows = Math.min(ROWS, to - p);
      int at = 0;
      for (; at + WIDTH <= channels; at += WIDTH) {
        fourByFour(x, p, weights, at, wide, rows, y);
      }
      for (int row = p; row < p + rows && at < channels; row++) {
        var last = SegmentVectors.load(x.data(), (long) row * x.stride() + at, channels - at);
        SegmentVectors.store(
            fourByFour(last, weights, at, wide),
            y.data(),
            (long) row * y.stride() + at,
            channels - at);
      }
    }
  }

  /// One vector of channels of some rows.
  private static void fourByFour(
      Rows x, int row, float[] weights, int at, int wide, int rows, Rows y) {
    var w0 = FloatVector.fromArray(LANES, weights, at);
    var w1 = FloatVector.fromArray(LANES, weights, at + wide);
    var w2 = FloatVector.fromArray(LANES, weights, at + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, at + 3 * wide);
    MemorySegment from = x.data();
    MemorySegment to = y.data();
    long source = (long) row * x.stride() + at;
    long target = (long) row * y.stride() + at;
    for (int i = 0; i < rows; i++) {
      var in = NativeFloats.load(from, source);
      var out = in.rearrange(FourByFour.FIRST).mul(w0);
      out = in.rearrange(FourByFour.SECOND).fma(w1, out);
      out = in.rearrange(FourByFour.THIRD).fma(w2, out);
      NativeFloats.store(in.rearrange(FourByFour.FOURTH).fma(w3, out), to, target);
      source += x.stride();
      target += y.stride();
    }
  }

  private static FloatVector fourByFour(FloatVector in, float[] weights, int at, int wide) {
    var out = in.rearrange(FourByFour.FIRST).mul(FloatVector.fromArray(LANES, weights, at));
    out =
        in.rearrange(FourByFour.SECOND).fma(FloatVector.fromArray(LANES, weights, at + wide), out);
    out =
        in.rearrange(FourByFour.THIRD)
            .fma(FloatVector.fromArray(LANES, weights, at + 2 * wide), out);
    return in.rearrange(FourByFour.FOURTH)
        .fma(FloatVector.fromArray(LANES, weights, at + 3 * wide), out);
  }

  private static void fourByFourBack(
      HeadwiseShape shape,
      Rows x,
      float[] weights,
      Rows dy,
      Rows dx,
      boolean add,
      float[] dw,
      int from,
      int to) {
    int channels = shape.heads() * 4;
    int wide = wide(shape);
    for (int p = from; p < to; p += ROWS) {
      int rows = Math.min(ROWS, to - p);
      int at = 0;
      for (; at + WIDTH <= channels; at += WIDTH) {
        fourByFourToWeight(x, dy, p, at, wide, rows, dw);
        fourByFourToInput(dy, weights, p, at, wide, rows, dx, add);
      }
      for (int row = p; row < p + rows && at < channels; row++) {
        fourByFourBackTail(x, weights, dy, dx, add, dw, row, at, wide, channels - at);
      }
    }
  }

  private static void fourByFourToWeight(
      Rows x, Rows dy, int row, int at, int wide, int rows, float[] dw) {
    var s0 = FloatVector.fromArray(LANES, dw, at);
    var s1 = FloatVector.fromArray(LANES, dw, at + wide);
    var s2 = FloatVector.fromArray(LANES, dw, at + 2 * wide);
    var s3 = FloatVector.fromArray(LANES, dw, at + 3 * wide);
    MemorySegment ins = x.data();
    MemorySegment outs = dy.data();
    long xAt = (long) row * x.stride() + at;
    long dyAt = (long) row * dy.stride() + at;
    for (int i = 0; i < rows; i++) {
      var in = NativeFloats.load(ins, xAt);
      var dOut = NativeFloats.load(outs, dyAt);
      s0 = in.rearrange(FourByFour.FIRST).fma(dOut, s0);
      s1 = in.rearrange(FourByFour.SECOND).fma(dOut, s1);
      s2 = in.rearrange(FourByFour.THIRD).fma(dOut, s2);
      s3 = in.rearrange(FourByFour.FOURTH).fma(dOut, s3);
      xAt += x.stride();
      dyAt += dy.stride();
    }
    s0.intoArray(dw, at);
    s1.intoArray(dw, at + wide);
    s2.intoArray(dw, at + 2 * wide);
    s3.intoArray(dw, at + 3 * wide);
  }

  private static void fourByFourToInput(
      Rows dy, float[] weights, int row, int at, int wide, int rows, Rows dx, boolean add) {
    var w0 = FloatVector.fromArray(LANES, weights, at);
    var w1 = FloatVector.fromArray(LANES, weights, at + wide);
    var w2 = FloatVector.fromArray(LANES, weights, at + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, at + 3 * wide);
    MemorySegment outs = dy.data();
    MemorySegment ins = dx.data();
    long dyAt = (long) row * dy.stride() + at;
    long dxAt = (long) row * dx.stride() + at;
    for (int i = 0; i < rows; i++) {
      var dOut = NativeFloats.load(outs, dyAt);
      var dIn = dOut.rearrange(FourByFour.FIRST).mul(w0);
      dIn = dOut.rearrange(FourByFour.SECOND).fma(w1, dIn);
      dIn = dOut.rearrange(FourByFour.THIRD).fma(w2, dIn);
      dIn = dOut.rearrange(FourByFour.FOURTH).fma(w3, dIn);
      NativeFloats.store(add ? dIn.add(NativeFloats.load(ins, dxAt)) : dIn, ins, dxAt);
      dyAt += dy.stride();
      dxAt += dx.stride();
    }
  }

  /// The last, shorter vector of one row.
  private static void fourByFourBackTail(
      Rows x,
      float[] weights,
      Rows dy,
      Rows dx,
      boolean add,
      float[] dw,
      int row,
      int at,
      int wide,
      int count) {
    var in = SegmentVectors.load(x.data(), (long) row * x.stride() + at, count);
    var dOut = SegmentVectors.load(dy.data(), (long) row * dy.stride() + at, count);
    addTo(dw, at, in.rearrange(FourByFour.FIRST), dOut);
    addTo(dw, at + wide, in.rearrange(FourByFour.SECOND), dOut);
    addTo(dw, at + 2 * wide, in.rearrange(FourByFour.THIRD), dOut);
    addTo(dw, at + 3 * wide, in.rearrange(FourByFour.FOURTH), dOut);
    long to = (long) row * dx.stride() + at;
    var dIn = fourByFour(dOut, weights, at, wide);
    SegmentVectors.store(
        add ? dIn.add(SegmentVectors.load(dx.data(), to, count)) : dIn, dx.data(), to, count);
  }

  private static void addTo(float[] sum, int at, FloatVector a, FloatVector b) {
    a.fma(b, FloatVector.fromArray(LANES, sum, at)).intoArray(sum, at);
  }

  // ---- other blocks ----------------------------------------------------------------------------

  private static void forward(
      HeadwiseShape shape, Scratch work, Rows x, float[] w, Rows y, int from, int to) {
    int in = shape.in();
    int out = shape.out();
    work.fit(in, out);
    for (int head = 0; head < shape.heads(); head++) {
      work.transposition.run(
          out, in, new Block(w, head * in * out, in), new Block(work.turned, 0, out));
      for (int p = from; p < to; p += SLICE) {
        int rows = Math.min(SLICE, to - p);
        work.load(x, p, rows, head, in, work.in);
        work.product.multiply(
            rows,
            out,
            in,
            new Block(work.in, 0, MlstmMath.wholeVectors(in)),
            new Block(work.turned, 0, out),
            new Block(work.out, 0, MlstmMath.wholeVectors(out)),
            false);
        work.store(work.out, y, p, rows, head, out);
      }
    }
  }

  private static void backward(
      HeadwiseShape shape,
      Scratch work,
      Rows x,
      float[] w,
      Rows dy,
      Rows dx,
      boolean add,
      float[] dw,
      int from,
      int to) {
    int in = shape.in();
    int out = shape.out();
    work.fit(in, out);
    var inputs = new Block(work.in, 0, MlstmMath.wholeVectors(in));
    var dOutputs = new Block(work.out, 0, MlstmMath.wholeVectors(out));
    for (int head = 0; head < shape.heads(); head++) {
      int at = head * in * out;
      for (int p = from; p < to; p += SLICE) {
        int rows = Math.min(SLICE, to - p);
        work.load(x, p, rows, head, in, work.in);
        work.load(dy, p, rows, head, out, work.out);
        work.product.multiplyTransposedLeft(
            out, in, rows, dOutputs, inputs, new Block(dw, at, in), true);
        if (add) {
          work.load(dx, p, rows, head, in, work.in);
        }
        work.product.multiply(rows, in, out, dOutputs, new Block(w, at, in), inputs, add);
        work.store(work.in, dx, p, rows, head, in);
      }
    }
  }

  private Scratch borrow() {
    Scratch work = scratch.poll();
    return work == null ? new Scratch() : work;
  }

  /// Rows of one head.
  private static final class Scratch {
    private final VectorMatrixProduct product = new VectorMatrixProduct();
    private final Transposition transposition = new Transposition();
    private float[] in = new float[0];
    private float[] out = new float[0];
    private float[] turned = new float[0]; // (in, out)

    void fit(int inWidth, int outWidth) {
      if (in.length < SLICE * MlstmMath.wholeVectors(inWidth)) {
        in = new float[SLICE * MlstmMath.wholeVectors(inWidth)];
      }
      if (out.length < SLICE * MlstmMath.wholeVectors(outWidth)) {
        out = new float[SLICE * MlstmMath.wholeVectors(outWidth)];
      }
      if (turned.length < inWidth * outWidth) {
        turned = new float[inWidth * outWidth];
      }
    }

    void load(Rows from, int p, int rows, int head, int width, float[] to) {
      long at = (long) p * from.stride() + (long) head * width;
      MlstmMemory.load(
          from.data(), at, from.stride(), rows, width, 1, to, MlstmMath.wholeVectors(width));
    }

    void store(float[] from, Rows to, int p, int rows, int head, int width) {
      long at = (long) p * to.stride() + (long) head * width;
      MlstmMemory.store(
          from, MlstmMath.wholeVectors(width), 1, rows, width, to.data(), at, to.stride());
    }
  }
}
