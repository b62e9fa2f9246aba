package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.add;
import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The convolution in plain loops: the reference implementation that `VectorCausalConvKernel` is
/// checked against. One task is one channel.
public final class ScalarCausalConvKernel implements CausalConvKernel {
  @Override
  public void forward(
      Size size, Inputs inputs, MemorySegment y, MemorySegment lastTail, KernelThreads threads) {
    inputs.check(size);
    size.checkTokens("y", y);
    size.checkTail("lastTail", lastTail);
    threads.run(
        size.channels(),
        channel -> {
          for (int row = 0; row < size.batch(); row++) {
            int[] reach = inputs.reach(size, row);
            for (int t = 0; t < size.length(); t++) {
              float sum = sum(size, inputs, row, t, channel, reach[t]);
              float out = reach[t] < 0 ? 0 : sum * sigmoid(sum);
              set(y, size.token(row, t) + channel, out);
            }
            int[] steps = Inputs.tailSteps(size, reach);
            for (int i = 0; i < steps.length; i++) {
              float last =
                  steps[i] == Integer.MIN_VALUE ? 0 : input(size, inputs, row, steps[i], channel);
              set(lastTail, size.earlier(row, i - steps.length) + channel, last);
            }
          }
        });
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment dy,
      @Nullable MemorySegment dLastTail,
      Gradients gradients,
      KernelThreads threads) {
    inputs.check(size);
    size.checkTokens("dy", dy);
    size.checkTail("dLastTail", dLastTail);
    gradients.check(size);
    threads.run(
        size.channels(), channel -> backward(size, inputs, dy, dLastTail, gradients, channel));
  }

  private static void backward(
      Size size,
      Inputs inputs,
      MemorySegment dy,
      @Nullable MemorySegment dLastTail,
      Gradients gradients,
      int channel) {
    var dWeight = new float[size.kernelSize()];
    float dBias = 0;
    for (int row = 0; row < size.batch(); row++) {
      int[] reach = inputs.reach(size, row);
      for (int t = -size.history(); t < size.length(); t++) {
        float addend =
            t < 0 || gradients.addend() == null
                ? 0
                : get(gradients.addend(), size.token(row, t) + channel);
        addToInput(size, gradients, row, t, channel, addend, false);
      }
      for (int t = 0; t < size.length(); t++) {
        if (reach[t] < 0) {
          continue;
        }
        float sum = sum(size, inputs, row, t, channel, reach[t]);
        float s = sigmoid(sum);
        float dSum = get(dy, size.token(row, t) + channel) * (s * (1 + sum * (1 - s)));
        dBias += dSum;
        for (int lag = 0; lag <= reach[t]; lag++) {
          int tap = size.history() - lag;
          dWeight[tap] += dSum * input(size, inputs, row, t - lag, channel);
          float w = get(inputs.weight(), (long) channel * size.kernelSize() + tap);
          addToInput(size, gradients, row, t - lag, channel, w * dSum, true);
        }
      }
      int[] steps = Inputs.tailSteps(size, reach);
      for (int i = 0; i < steps.length && dLastTail != null; i++) {
        if (steps[i] != Integer.MIN_VALUE) {
          float g = get(dLastTail, size.earlier(row, i - steps.length) + channel);
          addToInput(size, gradients, row, steps[i], channel, g, true);
        }
      }
    }
    for (int tap = 0; tap < size.kernelSize(); tap++) {
      set(gradients.weight(), (long) channel * size.kernelSize() + tap, dWeight[tap]);
    }
    if (gradients.bias() != null) {
      set(gradients.bias(), channel, dBias);
    }
  }

  private static float sum(Size size, Inputs inputs, int row, int step, int channel, int reach) {
    float sum = inputs.bias() == null ? 0 : get(inputs.bias(), channel);
    for (int lag = 0; lag <= reach; lag++) {
      float w = get(inputs.weight(), (long) channel * size.kernelSize() + size.history() - lag);
      sum += w * input(size, inputs, row, step - lag, channel);
    }
    return sum;
  }

  private static float input(Size size, Inputs inputs, int row, int step, int channel) {
    return step < 0
        ? get(inputs.tail(), size.earlier(row, step) + channel)
        : get(inputs.x(), size.token(row, step) + channel);
  }

  private static void addToInput(
      Size size, Gradients to, int row, int step, int channel, float value, boolean keep) {
    MemorySegment memory = step < 0 ? to.tail() : to.x();
    long offset = (step < 0 ? size.earlier(row, step) : size.token(row, step)) + channel;
    if (keep) {
      add(memory, offset, value);
    } else {
      set(memory, offset, value);
    }
  }

  private static float sigmoid(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }
}
