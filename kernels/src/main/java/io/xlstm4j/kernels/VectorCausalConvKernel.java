package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorMath.at;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// The convolution on vectors of channels. One task is some steps of one row and some channels;
/// what it adds to the gradients of weight and bias is summed afterwards in the order of rows and
/// steps.
public final class VectorCausalConvKernel implements CausalConvKernel {
  private static final int L = VectorMath.LANES.length();

  /// Steps and channels of a task: its arrays stay in the second cache.
  private static final int STEPS = 128;

  private static final int CHANNELS = 64;

  @Override
  public void forward(
      Size size, Inputs inputs, MemorySegment y, MemorySegment lastTail, Workers workers) {
    inputs.check(size);
    size.checkTokens("y", y);
    size.checkTail("lastTail", lastTail);
    int[][] reach = reach(size, inputs);
    float[] weight = byTap(size, inputs);
    workers.run(
        tasks(size), number -> new Task(size, inputs, weight, reach, number).forward(y, lastTail));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment dy,
      @Nullable MemorySegment dLastTail,
      Gradients gradients,
      Workers workers) {
    inputs.check(size);
    size.checkTokens("dy", dy);
    size.checkTail("dLastTail", dLastTail);
    gradients.check(size);
    int[][] reach = reach(size, inputs);
    float[] weight = byTap(size, inputs);
    var parts = new float[tasks(size)][];
    workers.run(
        parts.length,
        number ->
            parts[number] =
                new Task(size, inputs, weight, reach, number).backward(dy, dLastTail, gradients));
    int blocks = Math.ceilDiv(size.channels(), CHANNELS);
    workers.run(blocks, block -> sum(size, parts, block, blocks, gradients));
  }

  private static int tasks(Size size) {
    int pieces = size.batch() * Math.ceilDiv(size.length(), STEPS);
    return pieces * Math.ceilDiv(size.channels(), CHANNELS);
  }

  private static int[][] reach(Size size, Inputs inputs) {
    var reach = new int[size.batch()][];
    Arrays.setAll(reach, row -> inputs.reach(size, row));
    return reach;
  }

  /// Weight and then bias as `(K + 1, C)`, zeros behind up to whole vectors.
  private static float[] byTap(Size size, Inputs inputs) {
    int width = Math.ceilDiv(size.channels(), L) * L;
    var weight = new float[(size.taps() + 1) * width];
    for (int channel = 0; channel < size.channels(); channel++) {
      for (int tap = 0; tap < size.taps(); tap++) {
        weight[tap * width + channel] =
            SegmentFloats.get(inputs.weight(), (long) channel * size.taps() + tap);
      }
      if (inputs.bias() != null) {
        weight[size.taps() * width + channel] = SegmentFloats.get(inputs.bias(), channel);
      }
    }
    return weight;
  }

  private static void sum(Size size, float[][] parts, int block, int blocks, Gradients gradients) {
    float[] sum = parts[block];
    for (int number = block + blocks; number < parts.length; number += blocks) {
      for (int i = 0; i < sum.length; i++) {
        sum[i] += parts[number][i];
      }
    }
    int width = sum.length / (size.taps() + 1);
    int from = block * CHANNELS;
    for (int u = 0; u < Math.min(CHANNELS, size.channels() - from); u++) {
      for (int tap = 0; tap < size.taps(); tap++) {
        long to = (long) (from + u) * size.taps() + tap;
        SegmentFloats.set(gradients.weight(), to, sum[tap * width + u]);
      }
      if (gradients.bias() != null) {
        SegmentFloats.set(gradients.bias(), from + u, sum[size.taps() * width + u]);
      }
    }
  }

  /// Arrays hold whole vectors of channels for a window of steps: `(steps, width)`.
  private static final class Task {
    private final Size size;
    private final Inputs inputs;
    private final float[] weight; // (K + 1, weightWidth), all channels
    private final int weightWidth;
    private final int[] reach;
    private final int row;
    private final int from; // steps [from, to) are this task's
    private final int to;
    private final int channel;
    private final int count;
    private final int width;

    Task(Size size, Inputs inputs, float[] weight, int[][] reach, int number) {
      this.size = size;
      this.inputs = inputs;
      this.weight = weight;
      weightWidth = weight.length / (size.taps() + 1);
      int blocks = Math.ceilDiv(size.channels(), CHANNELS);
      int pieces = Math.ceilDiv(size.length(), STEPS);
      row = number / blocks / pieces;
      from = number / blocks % pieces * STEPS;
      to = Math.min(from + STEPS, size.length());
      channel = number % blocks * CHANNELS;
      count = Math.min(CHANNELS, size.channels() - channel);
      width = Math.ceilDiv(count, L) * L;
      this.reach = reach[row];
    }

    void forward(MemorySegment y, MemorySegment lastTail) {
      float[] known = readInputs(from - size.history(), to);
      float[] sums = sums(known, from, to);
      for (int at = 0; at < sums.length; at += L) {
        FloatVector sum = at(sums, at);
        sum.mul(VectorMath.sigmoid(sum)).intoArray(sums, at);
      }
      for (int t = from; t < to; t++) {
        long out = size.token(row, t) + channel;
        if (reach[t] < 0) {
          SegmentFloats.zero(y, out, count);
        } else {
          SegmentFloats.write(sums, (t - from) * width, y, out, count);
        }
      }
      if (from == 0) {
        writeTail(lastTail);
      }
    }

    private void writeTail(MemorySegment lastTail) {
      int[] steps = Inputs.tailSteps(size, reach);
      var line = new float[width];
      for (int i = 0; i < steps.length; i++) {
        Arrays.fill(line, 0);
        if (steps[i] != Integer.MIN_VALUE) {
          readInput(steps[i], line, 0);
        }
        long at = size.earlier(row, i - steps.length) + channel;
        SegmentFloats.write(line, 0, lastTail, at, count);
      }
    }

    /// Writes the gradients of this task's inputs, the tail's with the first steps.
    ///
    /// @return its part of the gradients of weight and bias `(K + 1, width)`
    float[] backward(MemorySegment dy, @Nullable MemorySegment dLastTail, Gradients gradients) {
      int ahead = Math.min(to + size.history(), size.length()); // they see our inputs
      float[] known = readInputs(from - size.history(), ahead);
      float[] sums = sums(known, from, ahead);
      slopes(sums);
      timesOutputGradient(sums, ahead, dy);

      var part = new float[(size.taps() + 1) * width];
      for (int t = from; t < to; t++) {
        addToWeight(part, known, sums, t);
      }
      int first = from == 0 ? -size.history() : from;
      var dInput = new float[(to - first) * width];
      for (int t = from; t < ahead; t++) {
        for (int lag = 0; lag <= reach[t]; lag++) {
          if (t - lag >= first && t - lag < to) {
            addToInput(dInput, (t - lag - first) * width, sums, (t - from) * width, lag);
          }
        }
      }
      if (dLastTail != null) {
        addLastTail(dInput, first, dLastTail);
      }
      for (int t = first; t < to; t++) {
        MemorySegment memory = t < 0 ? gradients.tail() : gradients.x();
        long at = (t < 0 ? size.earlier(row, t) : size.token(row, t)) + channel;
        SegmentFloats.write(dInput, (t - first) * width, memory, at, count);
      }
      return part;
    }

    private float[] readInputs(int first, int end) {
      var known = new float[(end - first) * width];
      for (int t = first; t < end; t++) {
        readInput(t, known, (t - first) * width);
      }
      return known;
    }

    private void readInput(int step, float[] line, int start) {
      if (step < 0) {
        SegmentFloats.read(inputs.tail(), size.earlier(row, step) + channel, line, start, count);
      } else {
        SegmentFloats.read(inputs.x(), size.token(row, step) + channel, line, start, count);
      }
    }

    /// What SiLU is taken of; zero at padding.
    private float[] sums(float[] known, int first, int end) {
      var sums = new float[(end - first) * width];
      for (int t = first; t < end; t++) {
        int now = (t - first + size.history()) * width;
        for (int u = 0; u < width && reach[t] >= 0; u += L) {
          FloatVector sum = at(weight, size.taps() * weightWidth + channel + u);
          for (int lag = 0; lag <= reach[t]; lag++) {
            FloatVector w = at(weight, (size.history() - lag) * weightWidth + channel + u);
            sum = sum.add(w.mul(at(known, now - lag * width + u)));
          }
          sum.intoArray(sums, (t - first) * width + u);
        }
      }
      return sums;
    }

    /// silu'(x) = s (1 + x (1 - s)), s = sigmoid(x), in place.
    private static void slopes(float[] sums) {
      for (int at = 0; at < sums.length; at += L) {
        FloatVector sum = at(sums, at);
        FloatVector s = VectorMath.sigmoid(sum);
        FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
        one.sub(s).mul(sum).add(one).mul(s).intoArray(sums, at);
      }
    }

    private void timesOutputGradient(float[] slopes, int end, MemorySegment dy) {
      for (int t = from; t < end; t++) {
        int start = (t - from) * width;
        if (reach[t] < 0) {
          Arrays.fill(slopes, start, start + width, 0);
          continue;
        }
        long in = size.token(row, t) + channel;
        for (int u = 0; u < width; u += L) {
          SegmentFloats.load(dy, in + u, count - u)
              .mul(at(slopes, start + u))
              .intoArray(slopes, start + u);
        }
      }
    }

    private void addToWeight(float[] part, float[] known, float[] dSums, int step) {
      int now = (step - from + size.history()) * width;
      int bias = size.taps() * width;
      for (int u = 0; u < width && reach[step] >= 0; u += L) {
        FloatVector d = at(dSums, (step - from) * width + u);
        at(part, bias + u).add(d).intoArray(part, bias + u);
        for (int lag = 0; lag <= reach[step]; lag++) {
          int tap = (size.history() - lag) * width + u;
          FloatVector product = d.mul(at(known, now - lag * width + u));
          at(part, tap).add(product).intoArray(part, tap);
        }
      }
    }

    private void addToInput(float[] dInput, int to, float[] dSums, int at, int lag) {
      int tap = (size.history() - lag) * weightWidth + channel;
      for (int u = 0; u < width; u += L) {
        FloatVector product = at(weight, tap + u).mul(at(dSums, at + u));
        at(dInput, to + u).add(product).intoArray(dInput, to + u);
      }
    }

    private void addLastTail(float[] dInput, int first, MemorySegment dLastTail) {
      int[] steps = Inputs.tailSteps(size, reach);
      for (int i = 0; i < steps.length; i++) {
        if (steps[i] >= first && steps[i] < to) {
          long in = size.earlier(row, i - steps.length) + channel;
          for (int u = 0; u < width; u += L) {
            int at = (steps[i] - first) * width + u;
            SegmentFloats.load(dLastTail, in + u, count - u)
                .add(at(dInput, at))
                .intoArray(dInput, at);
          }
        }
      }
    }
  }
}
