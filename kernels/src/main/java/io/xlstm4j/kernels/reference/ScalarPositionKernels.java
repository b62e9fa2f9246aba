package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;

/// [PositionKernels] as plain loops, in float64 within.
public final class ScalarPositionKernels implements PositionKernels {
  @Override
  public void normalize(int first, int end, Norm norm, MemoryMatrix x, MemoryMatrix y) {
    for (int row = first; row < end; row++) {
      for (int head = 0; head < norm.heads(); head++) {
        normalize(norm, head * norm.headDim(), x, x.row(row), y, y.row(row));
      }
    }
  }

  private static void normalize(
      Norm norm, int column, MemoryMatrix x, long xRow, MemoryMatrix y, long yRow) {
    int width = norm.headDim();
    double mean = 0;
    for (int i = column; i < column + width && norm.centered(); i++) {
      mean += get(x.data(), xRow + i) / (double) width;
    }
    double square = 0;
    for (int i = column; i < column + width; i++) {
      double d = get(x.data(), xRow + i) - mean;
      square += d * d / width;
    }
    double factor = 1 / Math.sqrt(square + norm.epsilon());
    for (int i = column; i < column + width; i++) {
      double value = (get(x.data(), xRow + i) - mean) * factor;
      if (norm.scale() != null) {
        value *= get(norm.scale(), i);
      }
      if (norm.bias() != null) {
        value += get(norm.bias(), i);
      }
      set(y.data(), yRow + i, (float) value);
    }
  }

  @Override
  public void gate(
      int first,
      int end,
      int width,
      Activation activation,
      MemoryMatrix gate,
      MemoryMatrix up,
      MemoryMatrix y) {
    for (int row = first; row < end; row++) {
      gate(0, width, activation, gate, up, y, row);
    }
  }

  /// The columns in `[from, width)` of one row.
  public static void gate(
      int from,
      int width,
      Activation activation,
      MemoryMatrix gate,
      MemoryMatrix up,
      MemoryMatrix y,
      int row) {
    for (int i = from; i < width; i++) {
      double value = activate(activation, get(gate.data(), gate.row(row) + i));
      set(y.data(), y.row(row) + i, (float) (value * get(up.data(), up.row(row) + i)));
    }
  }

  static double activate(Activation activation, double x) {
    return switch (activation) {
      case GELU -> x * ScalarGatedFeedForwardKernel.normalCdf(x);
      case RELU -> Math.max(x, 0);
      case RELU_SQUARED -> Math.max(x, 0) * Math.max(x, 0);
      case SIGMOID -> sigmoid(x);
      case SWISH -> x * sigmoid(x);
      case SELU -> Activation.SELU_SCALE * (x > 0 ? x : Activation.SELU_ALPHA * Math.expm1(x));
    };
  }

  static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y) {
    for (int row = first; row < end; row++) {
      addScaled(0, width, scale, x, y, row);
    }
  }

  /// The columns in `[from, width)` of one row.
  public static void addScaled(
      int from, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y, int row) {
    for (int i = from; i < width; i++) {
      float added = get(scale, i) * get(x.data(), x.row(row) + i);
      SegmentFloats.add(y.data(), y.row(row) + i, added);
    }
  }

  @Override
  public void softCap(int first, int end, int width, float cap, MemoryMatrix x) {
    for (int row = first; row < end; row++) {
      softCap(0, width, cap, x, row);
    }
  }

  /// The columns in `[from, width)` of one row.
  public static void softCap(int from, int width, float cap, MemoryMatrix x, int row) {
    for (int i = from; i < width; i++) {
      double value = get(x.data(), x.row(row) + i);
      set(x.data(), x.row(row) + i, (float) (cap * Math.tanh(value / cap)));
    }
  }

  @Override
  public void headwise(int first, int end, Headwise projection, MemoryMatrix x, MemoryMatrix y) {
    for (int row = first; row < end; row++) {
      for (int o = 0; o < projection.width(); o++) {
        output(projection, x, y, row, o);
      }
    }
  }

  public static void output(Headwise projection, MemoryMatrix x, MemoryMatrix y, int row, int o) {
    int start = o / projection.block() * projection.block();
    double sum = projection.bias() == null ? 0 : get(projection.bias(), o);
    for (int j = 0; j < projection.block(); j++) {
      double weight = get(projection.weight(), (long) j * projection.width() + o);
      sum += weight * get(x.data(), x.row(row) + start + j);
    }
    set(y.data(), y.row(row) + o, (float) sum);
  }
}
