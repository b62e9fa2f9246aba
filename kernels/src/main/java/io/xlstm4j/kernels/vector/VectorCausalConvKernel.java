package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// The convolution on vectors of channels. One task is some steps of one row and some channels;
/// what it adds to the gradients of weight and bias is summed afterwards in the order of rows and
/// steps.
public final class VectorCausalConvKernel implements CausalConvKernel {
  private static final int L = VectorMath.LANES.length();
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  /// Steps and channels of a task: its arrays stay near the first cache.
  private static final int STEPS = 32;

  private static final int CHANNELS = 128;

  private final ConcurrentLinkedQueue<Scratch> scratches = new ConcurrentLinkedQueue<>();

  @Override
  public void forward(
      Size size, Inputs inputs, MemorySegment y, MemorySegment lastTail, KernelThreads threads) {
    inputs.check(size);
    size.checkTokens("y", y);
    size.checkTail("lastTail", lastTail);
    int[][] reach = reach(size, inputs);
    float[] weight = byTap(size, inputs);
    threads.run(
        tasks(size),
        number ->
            with(scratch ->
                new Task(size, inputs, weight, reach, number, scratch).forward(y, lastTail)));
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
    int[][] reach = reach(size, inputs);
    float[] weight = byTap(size, inputs);
    var parts = new float[tasks(size)][];
    threads.run(
        parts.length,
        number ->
            with(scratch -> {
              var task = new Task(size, inputs, weight, reach, number, scratch);
              parts[number] = task.backward(dy, dLastTail, gradients);
            }));
    int blocks = Math.ceilDiv(size.channels(), CHANNELS);
    threads.run(blocks, block -> sum(size, parts, block, blocks, gradients));
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
    var weight = new float[(size.kernelSize() + 1) * width];
    for (int channel = 0; channel < size.channels(); channel++) {
      for (int tap = 0; tap < size.kernelSize(); tap++) {
        weight[tap * width + channel] =
            SegmentFloats.get(inputs.weight(), (long) channel * size.kernelSize() + tap);
      }
      if (inputs.bias() != null) {
        weight[size.kernelSize() * width + channel] = SegmentFloats.get(inputs.bias(), channel);
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
    int width = sum.length / (size.kernelSize() + 1);
    int from = block * CHANNELS;
    for (int u = 0; u < Math.min(CHANNELS, size.channels() - from); u++) {
      for (int tap = 0; tap < size.kernelSize(); tap++) {
        long to = (long) (from + u) * size.kernelSize() + tap;
        SegmentFloats.set(gradients.weight(), to, sum[tap * width + u]);
      }
      if (gradients.bias() != null) {
        SegmentFloats.set(gradients.bias(), from + u, sum[size.kernelSize() * width + u]);
      }
    }
  }

  private interface Use {
    void on(Scratch scratch);
  }

  private void with(Use use) {
    @Nullable Scratch free = scratches.poll();
    Scratch scratch = free == null ? new Scratch() : free;
    use.on(scratch);
    scratches.add(scratch);
  }

  /// The workspace of one thread: whole vectors of channels for a window of steps, `(steps,
  /// width)`.
  private static final class Scratch {
    private float[] known = {}; // inputs, from before the window
    private float[] sums = {}; // then what the outputs' gradients make of them
    private float[] gates = {};

    void fit(int floats) {
      if (known.length < floats) {
        known = new float[floats];
        sums = new float[floats];
        gates = new float[floats];
      }
    }
  }

  private static final class Task {
    private static final ArrayLoops<Task> FORWARD =
        new ArrayLoops<Task>(List.of(Task::readInputs, Task::sum, Task::sigmoids, Task::silu));
    private static final ArrayLoops<Task> BACKWARD =
        new ArrayLoops<Task>(List.of(Task::readInputs, Task::sum, Task::sigmoids, Task::slopes));

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
    private final Scratch scratch;
    private int end; // of the steps that are computed, some of the next task's

    Task(Size size, Inputs inputs, float[] weight, int[][] reach, int number, Scratch scratch) {
      this.scratch = scratch;
      this.size = size;
      this.inputs = inputs;
      this.weight = weight;
      weightWidth = weight.length / (size.kernelSize() + 1);
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
      end = to;
      scratch.fit((end - from + 2 * size.history()) * width);
      FORWARD.run(this);
      for (int t = from; t < to; t++) {
        long out = size.token(row, t) + channel;
        if (reach[t] < 0) {
          SegmentFloats.zero(y, out, count);
        } else {
          SegmentVectors.write(scratch.sums, (t - from) * width, y, out, count);
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
        long offset = size.earlier(row, i - steps.length) + channel;
        SegmentVectors.write(line, 0, lastTail, offset, count);
      }
    }

    /// Writes the gradients of this task's inputs, the tail's with the first steps.
    ///
    /// @return its part of the gradients of weight and bias `(K + 1, width)`
    float[] backward(MemorySegment dy, @Nullable MemorySegment dLastTail, Gradients gradients) {
      end = Math.min(to + size.history(), size.length()); // they see our inputs
      scratch.fit((end - from + 2 * size.history()) * width);
      BACKWARD.run(this);
      timesOutputGradient(dy);
      float[] known = scratch.known;
      float[] sums = scratch.sums;

      var part = new float[(size.kernelSize() + 1) * width];
      int first = from == 0 ? -size.history() : from;
      float[] dInput = scratch.gates; // not needed again
      Arrays.fill(dInput, 0, (to - first) * width, 0);
      boolean plain = isPlain(from, end);
      for (int u = 0; u < width && plain; u += L) {
        fourTapsToWeight(part, known, sums, u, to - from);
        fourTapsToInput(dInput, (from - first) * width, sums, u, to - from);
      }
      for (int t = from; t < to && !plain; t++) {
        addToWeight(part, known, sums, t);
      }
      int behind = plain ? from : to; // the inputs before it are still to be done
      int last = plain ? Math.min(end, from + size.history()) : end;
      for (int t = from; t < last; t++) {
        for (int lag = 0; lag <= reach[t]; lag++) {
          if (t - lag >= first && t - lag < behind) {
            addToInput(dInput, (t - lag - first) * width, sums, (t - from) * width, lag);
          }
        }
      }
      if (dLastTail != null) {
        addLastTail(dInput, first, dLastTail);
      }
      addPlus(dInput, first, gradients.addend());
      for (int t = first; t < to; t++) {
        MemorySegment memory = t < 0 ? gradients.tail() : gradients.x();
        long offset = (t < 0 ? size.earlier(row, t) : size.token(row, t)) + channel;
        SegmentVectors.write(dInput, (t - first) * width, memory, offset, count);
      }
      return part;
    }

    /// Those of steps `[from - history, end)`.
    private void readInputs() {
      if (count < width) {
        Arrays.fill(scratch.known, 0); // behind the last channel
      }
      int first = from - size.history();
      for (int t = first; t < end; t++) {
        readInput(t, scratch.known, (t - first) * width);
      }
    }

    private void readInput(int step, float[] line, int start) {
      if (step < 0) {
        SegmentVectors.read(inputs.tail(), size.earlier(row, step) + channel, line, start, count);
      } else {
        SegmentVectors.read(inputs.x(), size.token(row, step) + channel, line, start, count);
      }
    }

    /// The arguments of SiLU, of steps `[from, end)`; zero at padding and behind.
    private void sum() {
      float[] known = scratch.known;
      float[] sums = scratch.sums;
      if (isPlain(from, end)) {
        for (int u = 0; u < width; u += L) {
          fourTaps(known, sums, u, end - from);
        }
        Arrays.fill(sums, (end - from) * width, (end - from + size.history()) * width, 0);
        return;
      }
      Arrays.fill(sums, 0);
      for (int t = from; t < end; t++) {
        int now = (t - from + size.history()) * width;
        for (int u = 0; u < width && reach[t] >= 0; u += L) {
          FloatVector sum = at(weight, size.kernelSize() * weightWidth + channel + u);
          for (int lag = 0; lag <= reach[t]; lag++) {
            FloatVector w = at(weight, (size.history() - lag) * weightWidth + channel + u);
            sum = w.fma(at(known, now - lag * width + u), sum);
          }
          sum.intoArray(sums, (t - from) * width + u);
        }
      }
    }

    /// Four taps, and every one of these steps sees three earlier inputs: what is nearly always so.
    private boolean isPlain(int first, int end) {
      boolean plain = size.kernelSize() == 4;
      for (int t = first; t < end && plain; t++) {
        plain = reach[t] == 3;
      }
      return plain;
    }

    private void fourTaps(float[] known, float[] sums, int u, int steps) {
      int to = channel + u;
      FloatVector bias = at(weight, 4 * weightWidth + to);
      FloatVector w0 = at(weight, to);
      FloatVector w1 = at(weight, weightWidth + to);
      FloatVector w2 = at(weight, 2 * weightWidth + to);
      FloatVector w3 = at(weight, 3 * weightWidth + to);
      FloatVector x0 = at(known, u);
      FloatVector x1 = at(known, width + u);
      FloatVector x2 = at(known, 2 * width + u);
      for (int t = 0; t < steps; t++) {
        FloatVector x3 = at(known, (t + 3) * width + u);
        FloatVector sum = w2.fma(x2, w3.fma(x3, bias));
        w0.fma(x0, w1.fma(x1, sum)).intoArray(sums, t * width + u);
        x0 = x1;
        x1 = x2;
        x2 = x3;
      }
    }

    private void fourTapsToWeight(float[] part, float[] known, float[] dSums, int u, int steps) {
      FloatVector bias = FloatVector.zero(VectorMath.LANES);
      FloatVector p0 = bias;
      FloatVector p1 = bias;
      FloatVector p2 = bias;
      FloatVector p3 = bias;
      for (int t = 0; t < steps; t++) {
        FloatVector d = at(dSums, t * width + u);
        bias = bias.add(d);
        p0 = d.fma(at(known, t * width + u), p0);
        p1 = d.fma(at(known, (t + 1) * width + u), p1);
        p2 = d.fma(at(known, (t + 2) * width + u), p2);
        p3 = d.fma(at(known, (t + 3) * width + u), p3);
      }
      p0.intoArray(part, u);
      p1.intoArray(part, width + u);
      p2.intoArray(part, 2 * width + u);
      p3.intoArray(part, 3 * width + u);
      bias.intoArray(part, 4 * width + u);
    }

    /// Inputs of steps `[from, from + steps)`, at `start` of `dInput`.
    private void fourTapsToInput(float[] dInput, int start, float[] dSums, int u, int steps) {
      int to = channel + u;
      FloatVector w0 = at(weight, to);
      FloatVector w1 = at(weight, weightWidth + to);
      FloatVector w2 = at(weight, 2 * weightWidth + to);
      FloatVector w3 = at(weight, 3 * weightWidth + to);
      for (int t = 0; t < steps; t++) {
        int now = t * width + u;
        FloatVector sum = w3.mul(at(dSums, now));
        sum = w2.fma(at(dSums, now + width), sum);
        sum = w1.fma(at(dSums, now + 2 * width), sum);
        w0.fma(at(dSums, now + 3 * width), sum).intoArray(dInput, start + now);
      }
    }

    private void sigmoids() {
      float[] sums = scratch.sums;
      float[] gates = scratch.gates;
      for (int offset = 0; offset < (end - from) * width; offset += L) {
        VectorMath.sigmoid(at(sums, offset)).intoArray(gates, offset);
      }
    }

    private void silu() {
      float[] sums = scratch.sums;
      float[] gates = scratch.gates;
      for (int offset = 0; offset < (end - from) * width; offset += L) {
        at(sums, offset).mul(at(gates, offset)).intoArray(sums, offset);
      }
    }

    /// silu'(x) = s (1 + x (1 - s)), s = sigmoid(x), in the place of x.
    private void slopes() {
      float[] sums = scratch.sums;
      float[] gates = scratch.gates;
      for (int offset = 0; offset < (end - from) * width; offset += L) {
        FloatVector s = at(gates, offset);
        ONE.sub(s).fma(at(sums, offset), ONE).mul(s).intoArray(sums, offset);
      }
    }

    private void timesOutputGradient(MemorySegment dy) {
      float[] slopes = scratch.sums;
      float[] line = scratch.gates; // not needed again
      Arrays.fill(line, 0, width, 0);
      for (int t = from; t < end; t++) {
        int start = (t - from) * width;
        if (reach[t] < 0) {
          Arrays.fill(slopes, start, start + width, 0);
          continue;
        }
        SegmentVectors.read(dy, size.token(row, t) + channel, line, 0, count);
        for (int u = 0; u < width; u += L) {
          at(line, u).mul(at(slopes, start + u)).intoArray(slopes, start + u);
        }
      }
    }

    private void addToWeight(float[] part, float[] known, float[] dSums, int step) {
      int now = (step - from + size.history()) * width;
      int bias = size.kernelSize() * width;
      for (int u = 0; u < width && reach[step] >= 0; u += L) {
        FloatVector d = at(dSums, (step - from) * width + u);
        at(part, bias + u).add(d).intoArray(part, bias + u);
        for (int lag = 0; lag <= reach[step]; lag++) {
          int tap = (size.history() - lag) * width + u;
          d.fma(at(known, now - lag * width + u), at(part, tap)).intoArray(part, tap);
        }
      }
    }

    private void addToInput(float[] dInput, int to, float[] dSums, int offset, int lag) {
      int tap = (size.history() - lag) * weightWidth + channel;
      for (int u = 0; u < width; u += L) {
        at(weight, tap + u)
            .fma(at(dSums, offset + u), at(dInput, to + u))
            .intoArray(dInput, to + u);
      }
    }

    private void addPlus(float[] dInput, int first, @Nullable MemorySegment addend) {
      if (addend == null) {
        return;
      }
      float[] line = scratch.known; // not needed again
      for (int t = from; t < to; t++) {
        SegmentVectors.read(addend, size.token(row, t) + channel, line, 0, count);
        int offset = (t - first) * width;
        for (int u = 0; u < count; u++) { // the compiler makes vectors of it by itself
          dInput[offset + u] += line[u];
        }
      }
    }

    private void addLastTail(float[] dInput, int first, MemorySegment dLastTail) {
      int[] steps = Inputs.tailSteps(size, reach);
      for (int i = 0; i < steps.length; i++) {
        if (steps[i] >= first && steps[i] < to) {
          long in = size.earlier(row, i - steps.length) + channel;
          for (int u = 0; u < width; u += L) {
            int offset = (steps[i] - first) * width + u;
            SegmentVectors.load(dLastTail, in + u, count - u)
                .add(at(dInput, offset))
                .intoArray(dInput, offset);
          }
        }
      }
    }
  }
}
