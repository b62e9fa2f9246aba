package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.ScaledNormKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;

/// [ScaledNormKernel] in plain loops, in float64 within a head: what `VectorScaledNormKernel` is
/// checked against.
public final class ScalarScaledNormKernel implements ScaledNormKernel {
  @Override
  public void forward(
      Size size,
      Inputs inputs,
      MemorySegment out,
      MemorySegment statistics,
      KernelThreads threads) {
    inputs.check(size);
    size.checkRows("out", out);
    size.checkStatistics(statistics);
    for (int row = 0; row < size.rows(); row++) {
      for (int head = 0; head < size.heads(); head++) {
        forward(size, inputs, out, statistics, row, head);
      }
    }
  }

  private static void forward(
      Size size, Inputs inputs, MemorySegment out, MemorySegment statistics, int row, int head) {
    int width = size.headDim();
    long group = (long) row * size.heads() + head;
    double mean = 0;
    for (int u = 0; u < width && size.centered(); u++) {
      mean += get(inputs.x(), group * width + u) / (double) width;
    }
    double square = 0;
    for (int u = 0; u < width; u++) {
      double centered = get(inputs.x(), group * width + u) - mean;
      square += centered * centered / width;
    }
    float reciprocal = (float) (1 / Math.sqrt(square + size.epsilon()));
    set(statistics, 2 * group, (float) mean);
    set(statistics, 2 * group + 1, reciprocal);
    for (int u = 0; u < width; u++) {
      double y =
          (get(inputs.x(), group * width + u) - mean)
              * reciprocal
              * get(inputs.weight(), head * width + u);
      set(out, group * width + u, (float) (y * open(inputs, row, head * width + u)));
    }
  }

  /// How far the gate is open, 1 without one.
  private static double open(Inputs inputs, int row, int channel) {
    StridedMatrix gate = inputs.gate();
    return gate == null ? 1 : 1 / (1 + Math.exp(-gate.get(row, channel)));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      KernelThreads threads) {
    inputs.check(size);
    size.checkStatistics(statistics);
    size.checkRows("dOut", dOut);
    gradients.check(size, inputs);
    var dWeight = new double[size.channels()];
    for (int row = 0; row < size.rows(); row++) {
      for (int head = 0; head < size.heads(); head++) {
        backward(size, inputs, statistics, dOut, gradients, dWeight, row, head);
      }
    }
    for (int channel = 0; channel < dWeight.length; channel++) {
      set(gradients.weight(), channel, (float) dWeight[channel]);
    }
  }

  private static void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      double[] dWeight,
      int row,
      int head) {
    int width = size.headDim();
    long group = (long) row * size.heads() + head;
    double mean = get(statistics, 2 * group);
    double reciprocal = get(statistics, 2 * group + 1);
    var dNormal = new double[width];
    double sum = 0;
    double product = 0;
    for (int u = 0; u < width; u++) {
      int channel = head * width + u;
      double normal = (get(inputs.x(), group * width + u) - mean) * reciprocal;
      double weight = get(inputs.weight(), channel);
      double open = open(inputs, row, channel);
      double d = get(dOut, group * width + u);
      StridedMatrix dGate = gradients.gate();
      if (dGate != null) {
        dGate.set(row, channel, (float) (d * normal * weight * open * (1 - open)));
      }
      dWeight[channel] += d * open * normal;
      dNormal[u] = d * open * weight;
      sum += size.centered() ? dNormal[u] / width : 0;
      product += dNormal[u] * normal / width;
    }
    for (int u = 0; u < width; u++) {
      long offset = group * width + u;
      double normal = (get(inputs.x(), offset) - mean) * reciprocal;
      double dx = (dNormal[u] - sum - normal * product) * reciprocal;
      set(
          gradients.x(),
          offset,
          (float) (gradients.addend() == null ? dx : dx + get(gradients.addend(), offset)));
    }
  }
}
