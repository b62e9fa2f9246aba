package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The norm in plain loops: the reference implementation that `VectorHeadNormKernel` is checked
/// against. One task is one head.
public final class ScalarHeadNormKernel implements HeadNormKernel {
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
    threads.run(size.heads(), head -> forward(size, inputs, out, statistics, head));
  }

  private static void forward(
      Size size, Inputs inputs, MemorySegment out, MemorySegment statistics, int head) {
    int width = size.headDim();
    for (int row = 0; row < size.rows(); row++) {
      long group = (long) row * size.heads() + head;
      float mean = 0;
      for (int u = 0; u < width; u++) {
        mean += get(inputs.x(), group * width + u) / width;
      }
      float variance = 0;
      for (int u = 0; u < width; u++) {
        float centered = get(inputs.x(), group * width + u) - mean;
        variance += centered * centered / width;
      }
      float scale = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
      set(statistics, 2 * group, mean);
      set(statistics, 2 * group + 1, scale);
      write(size, inputs, group, mean, scale, out);
    }
  }

  /// One head of one row.
  ///
  /// @param group its number
  private static void write(
      Size size, Inputs inputs, long group, float mean, float scale, MemorySegment out) {
    int width = size.headDim();
    for (int u = 0; u < width; u++) {
      int channel = (int) (group % size.heads()) * width + u;
      long offset = group * width + u;
      float y = (get(inputs.x(), offset) - mean) * scale * onePlusWeight(inputs, channel);
      Gate gate = inputs.gate();
      if (gate != null) {
        float z = get(gate.z(), offset);
        y = (y + get(gate.skip(), channel) * get(gate.xc(), offset)) * (z * sigmoid(z));
      }
      set(out, offset, y);
    }
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment out,
      KernelThreads threads) {
    inputs.check(size);
    size.checkStatistics(statistics);
    size.checkRows("dOut", dOut);
    size.checkRows("out", out);
    gradients.check(size, inputs);
    threads.run(
        size.heads(), head -> backward(size, inputs, statistics, dOut, gradients, out, head));
  }

  private static void backward(
      Size size,
      Inputs inputs,
      MemorySegment statistics,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment out,
      int head) {
    int width = size.headDim();
    var dWeight = new float[width];
    var dSkip = new float[width];
    var dNormal = new float[width];
    var normal = new float[width];
    for (int row = 0; row < size.rows(); row++) {
      long group = (long) row * size.heads() + head;
      float mean = get(statistics, 2 * group);
      float scale = get(statistics, 2 * group + 1);
      if (out != null) {
        write(size, inputs, group, mean, scale, out);
      }
      float sum = 0;
      float product = 0;
      for (int u = 0; u < width; u++) {
        int channel = head * width + u;
        long offset = group * width + u;
        normal[u] = (get(inputs.x(), offset) - mean) * scale;
        float d = get(dOut, offset);
        Gate gate = inputs.gate();
        Gate to = gradients.gate();
        if (gate != null && to != null) {
          float z = get(gate.z(), offset);
          float s = sigmoid(z);
          float xc = get(gate.xc(), offset);
          float skip = get(gate.skip(), channel);
          float ungated = normal[u] * onePlusWeight(inputs, channel) + skip * xc;
          set(to.z(), offset, d * ungated * (s * (1 + z * (1 - s))));
          d *= z * s;
          set(to.xc(), offset, d * skip);
          dSkip[u] += d * xc;
        }
        dWeight[u] += d * normal[u];
        dNormal[u] = d * onePlusWeight(inputs, channel);
        sum += dNormal[u] / width;
        product += dNormal[u] * normal[u] / width;
      }
      for (int u = 0; u < width; u++) {
        long offset = group * width + u;
        float dx = (dNormal[u] - sum - normal[u] * product) * scale;
        set(
            gradients.x(),
            offset,
            gradients.addend() == null ? dx : dx + get(gradients.addend(), offset));
      }
    }
    if (gradients.weight() != null) {
      SegmentFloats.copy(dWeight, 0, gradients.weight(), (long) head * width, width);
    }
    if (gradients.gate() != null) {
      SegmentFloats.copy(dSkip, 0, gradients.gate().skip(), (long) head * width, width);
    }
  }

  private static float onePlusWeight(Inputs inputs, int channel) {
    return inputs.weight() == null ? 1 : 1 + get(inputs.weight(), channel);
  }

  private static float sigmoid(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }
}
