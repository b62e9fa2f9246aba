package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// [RowKernels] on the Vector API.
public final class VectorRowKernels implements RowKernels {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int WIDTH = LANES.length();
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private static final int PIECE = 1024; // columns, a multiple of every width

  private final ThreadLocal<GateRow> gates = ThreadLocal.withInitial(GateRow::new);
  private final ThreadLocal<float[]> scratch = ThreadLocal.withInitial(() -> new float[PIECE]);

  // lane l takes input j of its block of 4
  private static final VectorShuffle<Float> FIRST = VectorShuffle.fromOp(LANES, l -> ofFour(l, 0));
  private static final VectorShuffle<Float> SECOND = VectorShuffle.fromOp(LANES, l -> ofFour(l, 1));
  private static final VectorShuffle<Float> THIRD = VectorShuffle.fromOp(LANES, l -> ofFour(l, 2));
  private static final VectorShuffle<Float> FOURTH = VectorShuffle.fromOp(LANES, l -> ofFour(l, 3));

  private static int ofFour(int lane, int input) {
    return ((lane & ~3) | input) % WIDTH;
  }

  @Override
  public void normalize(int first, int end, Norm norm, FloatRows x, FloatRows y) {
    int width = norm.headDim();
    float[] values = scratch(width);
    for (int row = first; row < end; row++) {
      for (int column = 0; column < norm.heads() * width; column += width) {
        SegmentFloats.read(x.data(), x.row(row) + column, values, 0, width);
        float mean = norm.centered() ? sum(values, width) / width : 0;
        float square = sumOfSquares(values, width, mean) / width;
        float factor = (float) (1 / Math.sqrt(square + norm.epsilon()));
        scale(norm, column, mean, factor, values);
        SegmentFloats.write(values, 0, y.data(), y.row(row) + column, width);
      }
    }
  }

  /// This thread's memory for `count` floats and the rest of the last vector.
  private float[] scratch(int count) {
    float[] have = scratch.get();
    if (have.length < count) {
      have = new float[LaneMath.padded(count)];
      scratch.set(have);
    }
    return have;
  }

  /// What is past the end does not count.
  private static float sum(float[] values, int count) {
    fill(values, count, 0);
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      sum = sum.add(VectorMath.at(values, i));
    }
    return MlstmMath.sum(sum);
  }

  private static float sumOfSquares(float[] values, int count, float mean) {
    fill(values, count, mean);
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      var d = VectorMath.at(values, i).sub(mean);
      sum = d.fma(d, sum);
    }
    return MlstmMath.sum(sum);
  }

  private static void fill(float[] values, int count, float value) {
    for (int i = count; i < LaneMath.padded(count); i++) {
      values[i] = value;
    }
  }

  private static void scale(Norm norm, int column, float mean, float factor, float[] values) {
    for (int i = 0; i < norm.headDim(); i += WIDTH) {
      VectorMath.at(values, i).sub(mean).mul(factor).intoArray(values, i);
    }
    if (norm.scale() != null) {
      multiply(norm.headDim(), values, norm.scale(), column);
    }
    if (norm.bias() != null) {
      add(norm.headDim(), values, norm.bias(), column);
    }
  }

  private static void multiply(int count, float[] values, MemorySegment by, long at) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      VectorMath.at(values, i)
          .mul(FloatVector.fromMemorySegment(LANES, by, (at + i) * Float.BYTES, ORDER))
          .intoArray(values, i);
    }
    for (; i < count; i++) {
      values[i] *= SegmentFloats.get(by, at + i);
    }
  }

  private static void add(int count, float[] values, MemorySegment added, long at) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      VectorMath.at(values, i)
          .add(FloatVector.fromMemorySegment(LANES, added, (at + i) * Float.BYTES, ORDER))
          .intoArray(values, i);
    }
    for (; i < count; i++) {
      values[i] += SegmentFloats.get(added, at + i);
    }
  }

  @Override
  public void gate(
      int first,
      int end,
      int width,
      Activation activation,
      FloatRows gate,
      FloatRows up,
      FloatRows y) {
    int whole = LANES.loopBound(width);
    GateRow piece = gates.get();
    for (int row = first; row < end; row++) {
      for (int from = 0; from < whole; from += GateRow.PIECE) {
        int count = Math.min(whole - from, GateRow.PIECE);
        piece.run(activation, count, gate, up, y, row, from);
      }
      ScalarRowKernels.gate(whole, width, activation, gate, up, y, row);
    }
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, FloatRows x, FloatRows y) {
    float[] values = scratch(width);
    for (int row = first; row < end; row++) {
      SegmentFloats.read(x.data(), x.row(row), values, 0, width);
      multiply(width, values, scale, 0);
      add(width, values, y.data(), y.row(row));
      SegmentFloats.write(values, 0, y.data(), y.row(row), width);
    }
  }

  @Override
  public void softCap(int first, int end, int width, float cap, FloatRows x) {
    int whole = LANES.loopBound(width);
    float[] values = scratch(PIECE);
    for (int row = first; row < end; row++) {
      for (int from = 0; from < whole; from += PIECE) {
        int count = Math.min(whole - from, PIECE);
        SegmentFloats.read(x.data(), x.row(row) + from, values, 0, count);
        softCap(count, values, cap);
        SegmentFloats.write(values, 0, x.data(), x.row(row) + from, count);
      }
      ScalarRowKernels.softCap(whole, width, cap, x, row);
    }
  }

  private static void softCap(int count, float[] values, float cap) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorMath.tanh(VectorMath.at(values, i).div(cap)).mul(cap).intoArray(values, i);
    }
  }

  @Override
  public void headwise(int first, int end, Headwise projection, FloatRows x, FloatRows y) {
    int whole = projection.block() == 4 && WIDTH >= 4 ? LANES.loopBound(projection.width()) : 0;
    for (int row = first; row < end; row++) {
      blocksOf4(whole, projection, x, y, row);
      for (int o = whole; o < projection.width(); o++) {
        ScalarRowKernels.output(projection, x, y, row, o);
      }
    }
  }

  private static void blocksOf4(int whole, Headwise projection, FloatRows x, FloatRows y, int row) {
    MemorySegment weight = projection.weight();
    MemorySegment bias = projection.bias();
    long next = (long) projection.width() * Float.BYTES;
    for (int o = 0; o < whole; o += WIDTH) {
      long at = (long) o * Float.BYTES;
      var in =
          FloatVector.fromMemorySegment(LANES, x.data(), (x.row(row) + o) * Float.BYTES, ORDER);
      var sum =
          bias == null
              ? FloatVector.zero(LANES)
              : FloatVector.fromMemorySegment(LANES, bias, at, ORDER);
      var w = FloatVector.fromMemorySegment(LANES, weight, at, ORDER);
      sum = in.rearrange(FIRST).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, at + next, ORDER);
      sum = in.rearrange(SECOND).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, at + 2 * next, ORDER);
      sum = in.rearrange(THIRD).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, at + 3 * next, ORDER);
      sum = in.rearrange(FOURTH).fma(w, sum);
      sum.intoMemorySegment(y.data(), (y.row(row) + o) * Float.BYTES, ORDER);
    }
  }
}
