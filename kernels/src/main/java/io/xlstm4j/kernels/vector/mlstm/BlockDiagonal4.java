package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// A projection by blocks of 4 x 4 of the heads of an [MlstmChunk], times a factor: from memory to
/// the chunk's arrays, and their gradients back.
///
/// The arrays are `(count, wide)`, each row a head's width in whole vectors, of whole blocks. A
/// pair is a row of the batch and a head; each sums its gradient of the weight for itself.
final class BlockDiagonal4 {
  private static final VectorSpecies<Float> LANES = MlstmMath.LANES;
  private static final int WIDTH = LANES.length();

  // lane l takes lane j of its block
  static final VectorShuffle<Float> FIRST = VectorShuffle.fromOp(LANES, l -> l & ~3);
  static final VectorShuffle<Float> SECOND = VectorShuffle.fromOp(LANES, l -> (l & ~3) | 1);
  static final VectorShuffle<Float> THIRD = VectorShuffle.fromOp(LANES, l -> (l & ~3) | 2);
  static final VectorShuffle<Float> FOURTH = VectorShuffle.fromOp(LANES, l -> l | 3);

  private final MlstmShape shape;
  private final int dim; // of a head
  private final int wide;
  private final float factor;
  private final float[] byInput; // (NH, 4, wide): weight of input j of the block, by output
  private final float[] byOutput; // (NH, 4, wide): weight of output j of the block, by input
  private final float[][] sums; // (pairs, 4, wide): gradient of the weight, by input

  /// @param weight `(NH * DH / 4, 4, 4)`
  BlockDiagonal4(MlstmShape shape, MemorySegment weight, float factor) {
    this.shape = shape;
    this.factor = factor;
    dim = shape.qkDim();
    wide = MlstmMath.wholeVectors(dim);
    byInput = new float[shape.heads() * 4 * wide];
    byOutput = new float[byInput.length];
    sums = new float[shape.pairs()][4 * wide];
    float[] weights = weight.toArray(ValueLayout.JAVA_FLOAT);
    for (int out = 0; out < shape.heads() * dim; out++) {
      int row = row(out); // of outputs, and of the block's inputs
      int block = row - out % 4;
      for (int in = 0; in < 4; in++) {
        float w = factor * weights[out * 4 + in];
        byInput[row + in * wide] = w;
        byOutput[block + out % 4 * wide + in] = w;
      }
    }
  }

  /// Where a channel lies in the first of its head's four rows.
  private int row(int channel) {
    return channel / dim * 4 * wide + channel % dim;
  }

  private int weight(int pair) {
    return pair % shape.heads() * 4 * wide;
  }

  /// Positions `[first, first + count)` of a pair.
  void project(StridedMatrix from, int pair, int first, int count, float[] to) {
    long offset = shape.at(from, pair, dim, first);
    for (int u = 0; u < wide; u += WIDTH) {
      if (u + WIDTH <= dim) {
        project(from, offset + u, byInput, weight(pair) + u, wide, count, to, u);
      } else {
        projectTail(from, offset + u, weight(pair) + u, count, to, u);
      }
    }
  }

  private static void project(
      StridedMatrix from,
      long offset,
      float[] weights,
      int weight,
      int wide,
      int count,
      float[] to,
      int u) {
    var w0 = FloatVector.fromArray(LANES, weights, weight);
    var w1 = FloatVector.fromArray(LANES, weights, weight + wide);
    var w2 = FloatVector.fromArray(LANES, weights, weight + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, weight + 3 * wide);
    MemorySegment memory = from.data();
    for (int l = 0; l < count; l++) {
      var in = NativeFloats.load(memory, offset);
      var out = in.rearrange(FIRST).mul(w0);
      out = in.rearrange(SECOND).fma(w1, out);
      out = in.rearrange(THIRD).fma(w2, out);
      in.rearrange(FOURTH).fma(w3, out).intoArray(to, u);
      offset += from.stride();
      u += wide;
    }
  }

  /// The last, shorter vector.
  private void projectTail(
      StridedMatrix from, long offset, int weight, int count, float[] to, int u) {
    for (int l = 0; l < count; l++) {
      var in = SegmentVectors.load(from.data(), offset, dim - u % wide);
      times(in, byInput, weight).intoArray(to, u);
      offset += from.stride();
      u += wide;
    }
  }

  private FloatVector times(FloatVector in, float[] weights, int offset) {
    var out = in.rearrange(FIRST).mul(FloatVector.fromArray(LANES, weights, offset));
    out = in.rearrange(SECOND).fma(FloatVector.fromArray(LANES, weights, offset + wide), out);
    out = in.rearrange(THIRD).fma(FloatVector.fromArray(LANES, weights, offset + 2 * wide), out);
    return in.rearrange(FOURTH).fma(FloatVector.fromArray(LANES, weights, offset + 3 * wide), out);
  }

  /// From the gradient of what [#project] wrote to that of what it read, and on to the weight's.
  ///
  /// @param dx written, or added to if `add`
  void back(
      StridedMatrix x, int pair, int first, int count, float[] d, StridedMatrix dx, boolean add) {
    long from = shape.at(x, pair, dim, first);
    long to = shape.at(dx, pair, dim, first);
    for (int u = 0; u < wide; u += WIDTH) {
      if (u + WIDTH <= dim) {
        toWeight(x, from + u, d, u, wide, count, sums[pair]);
        toInput(d, u, byOutput, weight(pair) + u, wide, count, dx, to + u, add);
      } else {
        backTail(x, from + u, pair, d, u, count, dx, to + u, add);
      }
    }
  }

  private static void toWeight(
      StridedMatrix x, long from, float[] d, int u, int wide, int count, float[] sums) {
    var s0 = FloatVector.fromArray(LANES, sums, u);
    var s1 = FloatVector.fromArray(LANES, sums, u + wide);
    var s2 = FloatVector.fromArray(LANES, sums, u + 2 * wide);
    var s3 = FloatVector.fromArray(LANES, sums, u + 3 * wide);
    MemorySegment memory = x.data();
    for (int l = 0; l < count; l++) {
      var in = NativeFloats.load(memory, from);
      var dOut = FloatVector.fromArray(LANES, d, l * wide + u);
      s0 = in.rearrange(FIRST).fma(dOut, s0);
      s1 = in.rearrange(SECOND).fma(dOut, s1);
      s2 = in.rearrange(THIRD).fma(dOut, s2);
      s3 = in.rearrange(FOURTH).fma(dOut, s3);
      from += x.stride();
    }
    s0.intoArray(sums, u);
    s1.intoArray(sums, u + wide);
    s2.intoArray(sums, u + 2 * wide);
    s3.intoArray(sums, u + 3 * wide);
  }

  private static void toInput(
      float[] d,
      int u,
      float[] weights,
      int weight,
      int wide,
      int count,
      StridedMatrix dx,
      long to,
      boolean add) {
    var w0 = FloatVector.fromArray(LANES, weights, weight);
    var w1 = FloatVector.fromArray(LANES, weights, weight + wide);
    var w2 = FloatVector.fromArray(LANES, weights, weight + 2 * wide);
    var w3 = FloatVector.fromArray(LANES, weights, weight + 3 * wide);
    MemorySegment memory = dx.data();
    for (int l = 0; l < count; l++) {
      var dOut = FloatVector.fromArray(LANES, d, l * wide + u);
      var dIn = dOut.rearrange(FIRST).mul(w0);
      dIn = dOut.rearrange(SECOND).fma(w1, dIn);
      dIn = dOut.rearrange(THIRD).fma(w2, dIn);
      dIn = dOut.rearrange(FOURTH).fma(w3, dIn);
      NativeFloats.store(add ? dIn.add(NativeFloats.load(memory, to)) : dIn, memory, to);
      to += dx.stride();
    }
  }

  /// The last, shorter vector.
  private void backTail(
      StridedMatrix x,
      long from,
      int pair,
      float[] d,
      int u,
      int count,
      StridedMatrix dx,
      long to,
      boolean add) {
    float[] sum = sums[pair];
    int width = dim - u;
    for (int l = 0; l < count; l++) {
      var in = SegmentVectors.load(x.data(), from, width);
      var dOut = FloatVector.fromArray(LANES, d, l * wide + u);
      addTo(sum, u, in.rearrange(FIRST), dOut);
      addTo(sum, u + wide, in.rearrange(SECOND), dOut);
      addTo(sum, u + 2 * wide, in.rearrange(THIRD), dOut);
      addTo(sum, u + 3 * wide, in.rearrange(FOURTH), dOut);
      var dIn = times(dOut, byOutput, weight(pair) + u);
      SegmentVectors.store(
          add ? dIn.add(SegmentVectors.load(dx.data(), to, width)) : dIn, dx.data(), to, width);
      from += x.stride();
      to += dx.stride();
    }
  }

  private static void addTo(float[] sum, int offset, FloatVector a, FloatVector b) {
    a.fma(b, FloatVector.fromArray(LANES, sum, offset)).intoArray(sum, offset);
  }

  /// The weight's gradient: the sums of the rows in their order.
  void writeGradient(MemorySegment dWeight) {
    int heads = shape.heads();
    for (int pair = heads; pair < sums.length; pair++) {
      float[] sum = sums[pair % heads];
      for (int i = 0; i < sum.length; i++) {
        sum[i] += sums[pair][i];
      }
    }
    for (int out = 0; out < heads * dim; out++) {
      float[] sum = sums[out / dim];
      for (int in = 0; in < 4; in++) {
        float d = factor * sum[out % dim + in * wide];
        dWeight.setAtIndex(ValueLayout.JAVA_FLOAT, out * 4L + in, d);
      }
    }
  }
}
