package io.xlstm4j.kernels;

import io.xlstm4j.kernels.SlstmKernel.Gradients;
import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import io.xlstm4j.kernels.SlstmKernel.StateGradients;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.jspecify.annotations.Nullable;

/// Inputs of the sLSTM and gradients of its outputs by name, in float64; runs a kernel on them, or
/// the plain equations in float64 with central differences as gradients.
final class SlstmCase {
  static final String[] LEAVES = {"wx", "r", "b", "y0", "c0", "n0", "m0"};
  static final String[] OUTPUTS = {"y", "yT", "cT", "nT", "mT"};

  final Size size;
  final NamedArrays values = new NamedArrays(); // leaves, and "d" + outputs
  byte @Nullable [] valid;
  byte @Nullable [] starts;

  SlstmCase(Size size) {
    this.size = size;
  }

  /// Everything random: warm and fresh rows by turns, gradients into all outputs.
  static SlstmCase random(int batch, int length, int heads, int headDim) {
    var size = new Size(batch, length, heads, headDim);
    var random = new Random(((batch * 31L + length) * 31 + heads) * 31 + headDim);
    var made = new SlstmCase(size);
    int state = (int) size.stateFloats();
    made.fill("wx", state * length * 4, _ -> 1.5 * random.nextGaussian());
    double scale = 0.5 / Math.sqrt(headDim);
    made.fill("r", heads * headDim * 4 * headDim, _ -> scale * random.nextGaussian());
    made.fill("b", heads * 4 * headDim, _ -> 0.5 * random.nextGaussian());
    made.fill("y0", state, _ -> 0.5 * random.nextGaussian());
    made.fill("n0", state, _ -> 0.5 + random.nextDouble());
    made.fill("c0", state, _ -> random.nextGaussian());
    made.fill("m0", state, _ -> random.nextGaussian());
    int row = heads * headDim;
    for (int b = 1; b < batch; b += 2) {
      for (String part : new String[] {"y0", "c0", "n0", "m0"}) {
        Arrays.fill(made.at(part), b * row, (b + 1) * row, 0);
      }
    }
    made.fill("dy", state * length, _ -> random.nextGaussian());
    for (String part : new String[] {"dyT", "dcT", "dnT", "dmT"}) {
      made.fill(part, state, _ -> random.nextGaussian());
    }
    return made;
  }

  /// Rows of different lengths, one of them empty if there are several, and documents that start
  /// anywhere, at padding too.
  SlstmCase masked() {
    var random = new Random(size.length());
    valid = new byte[size.batch() * size.length()];
    starts = new byte[valid.length];
    for (int row = 0; row < size.batch(); row++) {
      int tokens = row == 2 ? 0 : size.length() - random.nextInt(size.length());
      for (int t = 0; t < size.length(); t++) {
        valid[row * size.length() + t] = (byte) (t < tokens ? 1 : 0);
        starts[row * size.length() + t] = (byte) (random.nextInt(4) == 0 ? 1 : 0);
      }
    }
    return this;
  }

  void fill(String name, int count, DoubleUnaryOperator value) {
    var made = new double[count];
    Arrays.setAll(made, i -> (float) value.applyAsDouble(i)); // exact in float32
    values.put(name, made);
  }

  double[] at(String name) {
    return values.at(name);
  }

  /// Outputs and gradients of `kernel`, by name: "y", "yT", ... and "d" + leaves.
  NamedArrays run(SlstmKernel kernel, int threadCount) {
    var threads = new KernelThreads(threadCount);
    try (var arena = Arena.ofShared()) {
      State initial =
          new State(
              floats(arena, "y0"), floats(arena, "c0"), floats(arena, "n0"), floats(arena, "m0"));
      var inputs =
          new Inputs(
              floats(arena, "wx"),
              floats(arena, "r"),
              floats(arena, "b"),
              initial,
              bytes(arena, valid),
              bytes(arena, starts));
      long states = size.stateFloats();
      MemorySegment y = garbage(arena, states * size.length());
      State last = state(arena);
      MemorySegment saved = garbage(arena, kernel.savedBytes(size) / Float.BYTES);
      kernel.forward(size, inputs, y, last, saved, threads);
      var to =
          new Gradients(
              garbage(arena, inputs.wx().byteSize() / Float.BYTES),
              garbage(arena, inputs.r().byteSize() / Float.BYTES),
              garbage(arena, inputs.b().byteSize() / Float.BYTES),
              state(arena));
      var onLast =
          new StateGradients(
              floats(arena, "dyT"),
              floats(arena, "dcT"),
              floats(arena, "dnT"),
              floats(arena, "dmT"));
      kernel.backward(size, inputs, y, saved, floats(arena, "dy"), onLast, to, threads);

      MemorySegment unsavedY = garbage(arena, states * size.length());
      State unsavedLast = state(arena);
      kernel.forward(size, inputs, unsavedY, unsavedLast, null, threads);
      if (unsavedY.mismatch(y) != -1 || unsavedLast.c().mismatch(last.c()) != -1) {
        throw new AssertionError("without saving, forward gives other bits");
      }

      var result = new NamedArrays();
      result.put("y", doubles(y));
      result.put("yT", doubles(last.y()));
      result.put("cT", doubles(last.c()));
      result.put("nT", doubles(last.n()));
      result.put("mT", doubles(last.m()));
      result.put("dwx", doubles(to.wx()));
      result.put("dr", doubles(to.r()));
      result.put("db", doubles(to.b()));
      result.put("dy0", doubles(to.initial().y()));
      result.put("dc0", doubles(to.initial().c()));
      result.put("dn0", doubles(to.initial().n()));
      result.put("dm0", doubles(to.initial().m()));
      return result;
    } finally {
      threads.close();
    }
  }

  /// The same by the equations in float64 and central differences of the loss.
  NamedArrays differentiate() {
    NamedArrays result = reference();
    for (String leaf : LEAVES) {
      double[] offset = at(leaf);
      var gradient = new double[offset.length];
      boolean zeroIsSpecial = leaf.equals("n0") || leaf.equals("c0");
      for (int i = 0; i < offset.length; i++) {
        if (zeroIsSpecial && at("n0")[i] == 0) {
          gradient[i] = Double.NaN; // there, a difference would leave the first-step rule
          continue;
        }
        double value = offset[i];
        double step = 1e-5;
        offset[i] = value + step;
        double above = loss(reference());
        offset[i] = value - step;
        double below = loss(reference());
        offset[i] = value;
        gradient[i] = (above - below) / (2 * step);
      }
      result.put("d" + leaf, gradient);
    }
    return result;
  }

  private double loss(NamedArrays outputs) {
    double loss = 0;
    for (String name : OUTPUTS) {
      double[] weights = at("d" + name);
      double[] output = outputs.at(name);
      for (int i = 0; i < weights.length; i++) {
        loss += weights[i] * output[i];
      }
    }
    return loss;
  }

  /// docs/math.md 1.1, in float64.
  private NamedArrays reference() {
    int width = size.headDim();
    double[] wx = at("wx");
    double[] r = at("r");
    double[] b = at("b");
    var outputs = new double[(int) size.stateFloats() * size.length()];
    double[] y = at("y0").clone();
    double[] c = at("c0").clone();
    double[] n = at("n0").clone();
    double[] m = at("m0").clone();
    for (int row = 0; row < size.batch(); row++) {
      for (int head = 0; head < size.heads(); head++) {
        int state = (int) size.state(row, head);
        for (int t = 0; t < size.length(); t++) {
          int position = row * size.length() + t;
          if (starts != null && starts[position] != 0 && (valid == null || valid[position] != 0)) {
            for (double[] part : new double[][] {y, c, n, m}) {
              Arrays.fill(part, state, state + width, 0);
            }
          }
          if (valid != null && valid[position] == 0) {
            continue;
          }
          var raw = new double[4][width];
          for (int gate = 0; gate < 4; gate++) {
            for (int u = 0; u < width; u++) {
              raw[gate][u] =
                  wx[(int) size.gate(row, t, gate, head) + u] + b[(int) size.bias(head, gate) + u];
              for (int in = 0; in < width; in++) {
                raw[gate][u] += y[state + in] * r[(int) size.kernel(head, in, gate) + u];
              }
            }
          }
          for (int u = 0; u < width; u++) {
            int offset = state + u;
            double logF = m[offset] - Math.log1p(Math.exp(-raw[1][u]));
            double next = n[offset] == 0 ? raw[0][u] : Math.max(raw[0][u], logF);
            double i = Math.min(1, Math.exp(raw[0][u] - next));
            double f = Math.min(1, Math.exp(logF - next));
            c[offset] = f * c[offset] + i * Math.tanh(raw[2][u]);
            n[offset] = f * n[offset] + i;
            m[offset] = next;
            y[offset] = c[offset] / n[offset] / (1 + Math.exp(-raw[3][u]));
            outputs[(int) size.output(row, t, head) + u] = y[offset];
          }
        }
      }
    }
    var result = new NamedArrays();
    result.put("y", outputs);
    result.put("yT", y);
    result.put("cT", c);
    result.put("nT", n);
    result.put("mT", m);
    return result;
  }

  private MemorySegment floats(Arena arena, String name) {
    double[] from = at(name);
    MemorySegment to = arena.allocate(from.length * (long) Float.BYTES, Float.BYTES);
    for (int i = 0; i < from.length; i++) {
      SegmentFloats.set(to, i, (float) from[i]);
    }
    return to;
  }

  /// Memory that shows whether all of it is overwritten.
  private static MemorySegment garbage(Arena arena, long count) {
    MemorySegment made = arena.allocate(count * Float.BYTES, Float.BYTES);
    for (long i = 0; i < count; i++) {
      SegmentFloats.set(made, i, Float.NaN);
    }
    return made;
  }

  private State state(Arena arena) {
    long count = size.stateFloats();
    return new State(
        garbage(arena, count), garbage(arena, count), garbage(arena, count), garbage(arena, count));
  }

  private static @Nullable MemorySegment bytes(Arena arena, byte @Nullable [] from) {
    return from == null ? null : arena.allocateFrom(ValueLayout.JAVA_BYTE, from);
  }

  private static double[] doubles(MemorySegment from) {
    var to = new double[(int) (from.byteSize() / Float.BYTES)];
    for (int i = 0; i < to.length; i++) {
      to[i] = SegmentFloats.get(from, i);
    }
    return to;
  }
}
