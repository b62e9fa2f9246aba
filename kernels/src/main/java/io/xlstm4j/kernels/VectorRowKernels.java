package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.SegmentFloats.load;
import static io.xlstm4j.kernels.SegmentFloats.store;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// [RowKernels] on the Vector API.
public final class VectorRowKernels implements RowKernels {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int WIDTH = LANES.length();
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private static final int PIECE = 1024; // columns, a multiple of every width

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
    for (int row = first; row < end; row++) {
      for (int column = 0; column < norm.heads() * width; column += width) {
        long from = x.row(row) + column;
        float mean = norm.centered() ? sum(x.data(), from, width) / width : 0;
        float square = sumOfSquares(x.data(), from, width, mean) / width;
        float factor = (float) (1 / Math.sqrt(square + norm.epsilon()));
        long to = y.row(row) + column;
        scale(norm, column, mean, factor, x.data(), from, y.data(), to);
      }
    }
  }

  private static float sum(MemorySegment data, long at, int count) {
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      sum = sum.add(load(data, at + i, count - i));
    }
    return MlstmMath.sum(sum);
  }

  private static float sumOfSquares(MemorySegment data, long at, int count, float mean) {
    var sum = FloatVector.zero(LANES);
    int whole = LANES.loopBound(count);
    for (int i = 0; i < whole; i += WIDTH) {
      var d = load(data, at + i, WIDTH).sub(mean);
      sum = d.fma(d, sum);
    }
    if (whole < count) { // what is past the end is no mean
      VectorMask<Float> mask = LANES.indexInRange(whole, count);
      var d = load(data, at + whole, count - whole).sub(mean, mask);
      sum = d.fma(d, sum);
    }
    return MlstmMath.sum(sum);
  }

  private static void scale(
      Norm norm,
      int column,
      float mean,
      float factor,
      MemorySegment x,
      long from,
      MemorySegment y,
      long to) {
    for (int i = 0; i < norm.headDim(); i += WIDTH) {
      int count = norm.headDim() - i;
      var value = load(x, from + i, count).sub(mean).mul(factor);
      if (norm.scale() != null) {
        value = value.mul(load(norm.scale(), column + i, count));
      }
      if (norm.bias() != null) {
        value = value.add(load(norm.bias(), column + i, count));
      }
      store(value, y, to + i, count);
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
    for (int row = first; row < end; row++) {
      switch (activation) { // a loop each: a vector that goes through a switch is an object
        case GELU -> gelu(whole, gate, up, y, row);
        case RELU -> relu(whole, gate, up, y, row);
        case RELU_SQUARED -> reluSquared(whole, gate, up, y, row);
        case SIGMOID -> sigmoid(whole, gate, up, y, row);
        case SWISH -> swish(whole, gate, up, y, row);
        case SELU -> selu(whole, gate, up, y, row);
      }
      ScalarRowKernels.gate(whole, width, activation, gate, up, y, row);
    }
  }

  // Loops over whole vectors, each as short as can be: the compiler stops inlining early.

  /// In three loops, piece by piece, with densities and then probabilities in between.
  private void gelu(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    float[] densities = scratch.get();
    for (int from = 0; from < whole; from += PIECE) {
      int end = Math.min(whole, from + PIECE);
      for (int i = from; i < end; i += WIDTH) {
        var x = at(gate, row, i);
        VectorMath.expOfNegative(x.mul(x).mul(-0.5f)).intoArray(densities, i - from);
      }
      for (int i = from; i < end; i += WIDTH) {
        var density = FloatVector.fromArray(LANES, densities, i - from);
        VectorMath.normalCdf(at(gate, row, i), density).intoArray(densities, i - from);
      }
      for (int i = from; i < end; i += WIDTH) {
        var cdf = FloatVector.fromArray(LANES, densities, i - from);
        put(cdf.mul(at(gate, row, i)).mul(at(up, row, i)), y, row, i);
      }
    }
  }

  private static void relu(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    for (int i = 0; i < whole; i += WIDTH) {
      put(at(gate, row, i).max(0f).mul(at(up, row, i)), y, row, i);
    }
  }

  private static void reluSquared(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    for (int i = 0; i < whole; i += WIDTH) {
      var x = at(gate, row, i).max(0f);
      put(x.mul(x).mul(at(up, row, i)), y, row, i);
    }
  }

  private static void sigmoid(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    for (int i = 0; i < whole; i += WIDTH) {
      put(VectorMath.sigmoid(at(gate, row, i)).mul(at(up, row, i)), y, row, i);
    }
  }

  private static void swish(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    for (int i = 0; i < whole; i += WIDTH) {
      var x = at(gate, row, i);
      put(x.mul(VectorMath.sigmoid(x)).mul(at(up, row, i)), y, row, i);
    }
  }

  private static void selu(int whole, FloatRows gate, FloatRows up, FloatRows y, int row) {
    for (int i = 0; i < whole; i += WIDTH) {
      var x = at(gate, row, i);
      var low = VectorMath.expm1OfNegative(x.min(0f)).mul((float) Activation.SELU_ALPHA);
      var value = low.blend(x, x.compare(VectorOperators.GT, 0f));
      put(value.mul((float) Activation.SELU_SCALE).mul(at(up, row, i)), y, row, i);
    }
  }

  private static FloatVector at(FloatRows rows, int row, int column) {
    long at = (rows.row(row) + column) * Float.BYTES;
    return FloatVector.fromMemorySegment(LANES, rows.data(), at, ORDER);
  }

  private static void put(FloatVector value, FloatRows rows, int row, int column) {
    value.intoMemorySegment(rows.data(), (rows.row(row) + column) * Float.BYTES, ORDER);
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, FloatRows x, FloatRows y) {
    int whole = LANES.loopBound(width);
    var scales = new FloatRows(scale, 0, 0);
    for (int row = first; row < end; row++) {
      for (int i = 0; i < whole; i += WIDTH) {
        put(at(x, row, i).mul(at(scales, 0, i)).add(at(y, row, i)), y, row, i);
      }
      ScalarRowKernels.addScaled(whole, width, scale, x, y, row);
    }
  }

  @Override
  public void softCap(int first, int end, int width, float cap, FloatRows x) {
    int whole = LANES.loopBound(width);
    for (int row = first; row < end; row++) {
      for (int i = 0; i < whole; i += WIDTH) {
        put(VectorMath.tanh(at(x, row, i).div(cap)).mul(cap), x, row, i);
      }
      ScalarRowKernels.softCap(whole, width, cap, x, row);
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
    int width = projection.width();
    for (int o = 0; o < whole; o += WIDTH) {
      var in = load(x.data(), x.row(row) + o, WIDTH);
      var sum =
          projection.bias() == null ? FloatVector.zero(LANES) : load(projection.bias(), o, WIDTH);
      sum = in.rearrange(FIRST).fma(load(weight, o, WIDTH), sum);
      sum = in.rearrange(SECOND).fma(load(weight, width + o, WIDTH), sum);
      sum = in.rearrange(THIRD).fma(load(weight, 2L * width + o, WIDTH), sum);
      sum = in.rearrange(FOURTH).fma(load(weight, 3L * width + o, WIDTH), sum);
      store(sum, y.data(), y.row(row) + o, WIDTH);
    }
  }
}
