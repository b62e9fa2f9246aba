package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.gemm.Transposition;
import io.xlstm4j.kernels.vector.gemm.VectorGemmKernel;
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

  private final KernelThreads threads;
  private final ConcurrentLinkedQueue<Scratch> scratch = new ConcurrentLinkedQueue<>();

  public VectorHeadwiseKernel(KernelThreads threads) {
    this.threads = threads;
  }

  @Override
  public void forward(HeadwiseShape shape, StridedMatrix x, MemorySegment w, StridedMatrix y) {
    x.check("x", shape.positions(), shape.heads() * shape.in());
    SegmentFloats.expectFloats("w", w, shape.floatsOfWeight());
    y.check("y", shape.positions(), shape.heads() * shape.out());
    int slices = slices(shape);
    if (isFour(shape)) {
      float[] weights = byInput(shape, w);
      threads.run(
          slices,
          s ->
              fourByFour(
                  shape, x, weights, y, first(shape, slices, s), first(shape, slices, s + 1)));
      return;
    }
    float[] weights =
        w.asSlice(0, (long) shape.floatsOfWeight() * Float.BYTES).toArray(ValueLayout.JAVA_FLOAT);
    threads.run(
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
    int slices = slices(shape);
    if (isFour(shape)) {
      float[] weights = byOutput(shape, w);
      float[][] parts = new float[slices][weights.length];
      threads.run(
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
    threads.run(
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
      HeadwiseShape shape, StridedMatrix x, float[] weights, StridedMatrix y, int from, int to) {
    int channels = shape.heads() * 4;
    int wide = wide(shape);
    for (int p = from; p < to; p += ROWS) {
      int rows = Math.min(ROWS, to - p);
      int offset = 0;
      for (; offset + WIDTH <= channels; offset += WIDTH) {
        fourByFour(x, p, weights, offset, wide, rows, y);
      }
      for (int row = p; row < p + rows && offset < channels; row++) {
        var last =
            SegmentVectors.load(x.data(), (long) row * x.stride() + offset, channels - offset);
        SegmentVectors.store(
            fourByFour(last, weights, offset, wide),
            y.data(),
            (long) row * y.stride() + offset,
            channels - offset);
      }
    }
  }

  /// One vector of channels of some rows.
  private static void fourByFour(
      StridedMatrix x, int row, float[] weights, int offset, int wide, int rows, StridedMatrix y) {
    var w0 = FloatVector.fromArray(LANES, weights, offset);
    var w1 = FloatVector.fromArray(LANES, weights, offset + wide);
    var w2 = FloatVector.fromArray(LANES, weights, offset + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, offset + 3 * wide);
    MemorySegment from = x.data();
    MemorySegment to = y.data();
    long source = (long) row * x.stride() + offset;
    long target = (long) row * y.stride() + offset;
    for (int i = 0; i < rows; i++) {
      var in = NativeFloats.load(from, source);
      var out = in.rearrange(BlockDiagonal4.FIRST).mul(w0);
      out = in.rearrange(BlockDiagonal4.SECOND).fma(w1, out);
      out = in.rearrange(BlockDiagonal4.THIRD).fma(w2, out);
      NativeFloats.store(in.rearrange(BlockDiagonal4.FOURTH).fma(w3, out), to, target);
      source += x.stride();
      target += y.stride();
    }
  }

  private static FloatVector fourByFour(FloatVector in, float[] weights, int offset, int wide) {
    var out = in.rearrange(BlockDiagonal4.FIRST).mul(FloatVector.fromArray(LANES, weights, offset));
    out =
        in.rearrange(BlockDiagonal4.SECOND)
            .fma(FloatVector.fromArray(LANES, weights, offset + wide), out);
    out =
        in.rearrange(BlockDiagonal4.THIRD)
            .fma(FloatVector.fromArray(LANES, weights, offset + 2 * wide), out);
    return in.rearrange(BlockDiagonal4.FOURTH)
        .fma(FloatVector.fromArray(LANES, weights, offset + 3 * wide), out);
  }

  private static void fourByFourBack(
      HeadwiseShape shape,
      StridedMatrix x,
      float[] weights,
      StridedMatrix dy,
      StridedMatrix dx,
      boolean add,
      float[] dw,
      int from,
      int to) {
    int channels = shape.heads() * 4;
    int wide = wide(shape);
    for (int p = from; p < to; p += ROWS) {
      int rows = Math.min(ROWS, to - p);
      int offset = 0;
      for (; offset + WIDTH <= channels; offset += WIDTH) {
        fourByFourToWeight(x, dy, p, offset, wide, rows, dw);
        fourByFourToInput(dy, weights, p, offset, wide, rows, dx, add);
      }
      for (int row = p; row < p + rows && offset < channels; row++) {
        fourByFourBackTail(x, weights, dy, dx, add, dw, row, offset, wide, channels - offset);
      }
    }
  }

  private static void fourByFourToWeight(
      StridedMatrix x, StridedMatrix dy, int row, int offset, int wide, int rows, float[] dw) {
    var s0 = FloatVector.fromArray(LANES, dw, offset);
    var s1 = FloatVector.fromArray(LANES, dw, offset + wide);
    var s2 = FloatVector.fromArray(LANES, dw, offset + 2 * wide);
    var s3 = FloatVector.fromArray(LANES, dw, offset + 3 * wide);
    MemorySegment ins = x.data();
    MemorySegment outs = dy.data();
    long xOffset = (long) row * x.stride() + offset;
    long dyOffset = (long) row * dy.stride() + offset;
    for (int i = 0; i < rows; i++) {
      var in = NativeFloats.load(ins, xOffset);
      var dOut = NativeFloats.load(outs, dyOffset);
      s0 = in.rearrange(BlockDiagonal4.FIRST).fma(dOut, s0);
      s1 = in.rearrange(BlockDiagonal4.SECOND).fma(dOut, s1);
      s2 = in.rearrange(BlockDiagonal4.THIRD).fma(dOut, s2);
      s3 = in.rearrange(BlockDiagonal4.FOURTH).fma(dOut, s3);
      xOffset += x.stride();
      dyOffset += dy.stride();
    }
    s0.intoArray(dw, offset);
    s1.intoArray(dw, offset + wide);
    s2.intoArray(dw, offset + 2 * wide);
    s3.intoArray(dw, offset + 3 * wide);
  }

  private static void fourByFourToInput(
      StridedMatrix dy,
      float[] weights,
      int row,
      int offset,
      int wide,
      int rows,
      StridedMatrix dx,
      boolean add) {
    var w0 = FloatVector.fromArray(LANES, weights, offset);
    var w1 = FloatVector.fromArray(LANES, weights, offset + wide);
    var w2 = FloatVector.fromArray(LANES, weights, offset + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, offset + 3 * wide);
    MemorySegment outs = dy.data();
    MemorySegment ins = dx.data();
    long dyOffset = (long) row * dy.stride() + offset;
    long dxOffset = (long) row * dx.stride() + offset;
    for (int i = 0; i < rows; i++) {
      var dOut = NativeFloats.load(outs, dyOffset);
      var dIn = dOut.rearrange(BlockDiagonal4.FIRST).mul(w0);
      dIn = dOut.rearrange(BlockDiagonal4.SECOND).fma(w1, dIn);
      dIn = dOut.rearrange(BlockDiagonal4.THIRD).fma(w2, dIn);
      dIn = dOut.rearrange(BlockDiagonal4.FOURTH).fma(w3, dIn);
      NativeFloats.store(add ? dIn.add(NativeFloats.load(ins, dxOffset)) : dIn, ins, dxOffset);
      dyOffset += dy.stride();
      dxOffset += dx.stride();
    }
  }

  /// The last, shorter vector of one row.
  private static void fourByFourBackTail(
      StridedMatrix x,
      float[] weights,
      StridedMatrix dy,
      StridedMatrix dx,
      boolean add,
      float[] dw,
      int row,
      int offset,
      int wide,
      int count) {
    var in = SegmentVectors.load(x.data(), (long) row * x.stride() + offset, count);
    var dOut = SegmentVectors.load(dy.data(), (long) row * dy.stride() + offset, count);
    addTo(dw, offset, in.rearrange(BlockDiagonal4.FIRST), dOut);
    addTo(dw, offset + wide, in.rearrange(BlockDiagonal4.SECOND), dOut);
    addTo(dw, offset + 2 * wide, in.rearrange(BlockDiagonal4.THIRD), dOut);
    addTo(dw, offset + 3 * wide, in.rearrange(BlockDiagonal4.FOURTH), dOut);
    long to = (long) row * dx.stride() + offset;
    var dIn = fourByFour(dOut, weights, offset, wide);
    SegmentVectors.store(
        add ? dIn.add(SegmentVectors.load(dx.data(), to, count)) : dIn, dx.data(), to, count);
  }

  private static void addTo(float[] sum, int offset, FloatVector a, FloatVector b) {
    a.fma(b, FloatVector.fromArray(LANES, sum, offset)).intoArray(sum, offset);
  }

  // ---- other blocks ----------------------------------------------------------------------------

  private static void forward(
      HeadwiseShape shape,
      Scratch work,
      StridedMatrix x,
      float[] w,
      StridedMatrix y,
      int from,
      int to) {
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
      StridedMatrix x,
      float[] w,
      StridedMatrix dy,
      StridedMatrix dx,
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
      int offset = head * in * out;
      for (int p = from; p < to; p += SLICE) {
        int rows = Math.min(SLICE, to - p);
        work.load(x, p, rows, head, in, work.in);
        work.load(dy, p, rows, head, out, work.out);
        work.product.multiplyTransposedLeft(
            out, in, rows, dOutputs, inputs, new Block(dw, offset, in), true);
        if (add) {
          work.load(dx, p, rows, head, in, work.in);
        }
        work.product.multiply(rows, in, out, dOutputs, new Block(w, offset, in), inputs, add);
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
    private final VectorGemmKernel product = new VectorGemmKernel();
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

    void load(StridedMatrix from, int p, int rows, int head, int width, float[] to) {
      long offset = (long) p * from.stride() + (long) head * width;
      MlstmGather.load(
          from.data(), offset, from.stride(), rows, width, 1, to, MlstmMath.wholeVectors(width));
    }

    void store(float[] from, StridedMatrix to, int p, int rows, int head, int width) {
      long offset = (long) p * to.stride() + (long) head * width;
      MlstmGather.store(
          from, MlstmMath.wholeVectors(width), 1, rows, width, to.data(), offset, to.stride());
    }
  }
}
