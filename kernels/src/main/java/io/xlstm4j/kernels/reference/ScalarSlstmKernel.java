package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell in plain loops: the reference implementation that `VectorSlstmKernel` is checked
/// against.
///
/// One task is one row and head, then one head for the sums over rows. Saved activations are `(B,
/// NH, S, 7, DH)`: i, f (negative where the forget gate set m; its value is 1 there), z, o, c, n
/// and the slope of log-sigmoid at the forget gate.
public final class ScalarSlstmKernel implements SlstmKernel {
  private static final int SAVED = 7;

  @Override
  public long savedBytes(Size size) {
    return size.stateFloats() * size.length() * SAVED * Float.BYTES;
  }

  @Override
  public void forward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      State last,
      @Nullable MemorySegment saved,
      KernelThreads threads) {
    inputs.check(size);
    SegmentFloats.check("y", y, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    last.check("last", size);
    SegmentFloats.check("saved", saved, savedBytes(size) / Float.BYTES, "as savedBytes says");
    threads.run(
        size.batch() * size.heads(),
        task -> forward(size, inputs, y, last, saved, task / size.heads(), task % size.heads()));
  }

  private static void forward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      State last,
      @Nullable MemorySegment saved,
      int row,
      int head) {
    int width = size.headDim();
    Units state = Units.read(inputs.initial(), size.state(row, head), width);
    var raw = new float[4][width];
    for (int t = 0; t < size.length(); t++) {
      if (inputs.isStart(size, row, t)) {
        state.clear();
      }
      long out = size.output(row, t, head);
      if (!inputs.isToken(size, row, t)) {
        SegmentFloats.zero(y, out, width);
        continue;
      }
      for (int gate = 0; gate < 4; gate++) { // raw = wx + b + R y
        for (int u = 0; u < width; u++) {
          float sum =
              get(inputs.wx(), size.gate(row, t, gate, head) + u)
                  + get(inputs.b(), size.bias(head, gate) + u);
          for (int in = 0; in < width; in++) {
            sum += state.y[in] * get(inputs.r(), size.kernel(head, in, gate) + u);
          }
          raw[gate][u] = sum;
        }
      }
      for (int u = 0; u < width; u++) {
        float iPre = raw[0][u];
        float logF = logSigmoid(raw[1][u]) + state.m[u];
        float z = (float) Math.tanh(raw[2][u]);
        float o = sigmoid(raw[3][u]);
        float m = state.n[u] == 0 ? iPre : Math.max(iPre, logF); // eq. 15
        float i = Math.min((float) Math.exp(iPre - m), 1); // eq. 16
        float f = Math.min((float) Math.exp(logF - m), 1); // eq. 17
        float c = f * state.c[u] + i * z; // eq. 8
        float n = f * state.n[u] + i; // eq. 9
        state.y[u] = o * (c / n); // eq. 10
        state.c[u] = c;
        state.n[u] = n;
        state.m[u] = m;
        set(y, out + u, state.y[u]);
        if (saved != null) {
          long offset = saved(size, row, head, t) + u;
          set(saved, offset, i);
          set(saved, offset + width, m == iPre ? f : -f);
          set(saved, offset + 2L * width, z);
          set(saved, offset + 3L * width, o);
          set(saved, offset + 4L * width, c);
          set(saved, offset + 5L * width, n);
          set(saved, offset + 6L * width, sigmoid(-raw[1][u]));
        }
      }
    }
    state.write(last, size.state(row, head));
  }

  @Override
  public void backward(
      Size size,
      Inputs inputs,
      MemorySegment y,
      MemorySegment saved,
      MemorySegment dy,
      StateGradients last,
      Gradients gradients,
      KernelThreads threads) {
    inputs.check(size);
    SegmentFloats.check("y", y, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    SegmentFloats.check("saved", saved, savedBytes(size) / Float.BYTES, "as savedBytes says");
    SegmentFloats.check("dy", dy, size.stateFloats() * size.length(), "(B, S, NH, DH)");
    last.check(size);
    gradients.check(size);
    threads.run(
        size.batch() * size.heads(),
        task -> {
          int row = task / size.heads();
          backward(size, inputs, saved, dy, last, gradients, row, task % size.heads());
        });
    threads.run(size.heads(), head -> sumOverRows(size, inputs, y, gradients, head));
  }

  /// docs/math.md 1.6, with the stabilizer in the graph. `d.m` carries the gradient that reaches
  /// the maximum m_t: dm_t - c_t dc_t - n_t dn_t, since i and f, hence c and n, have the factor
  /// exp(-m). The gate that set m takes it; if that is the forget gate, m_(t-1) does too, and it
  /// flows on unchanged.
  private static void backward(
      Size size,
      Inputs inputs,
      MemorySegment saved,
      MemorySegment dy,
      StateGradients last,
      Gradients gradients,
      int row,
      int head) {
    int width = size.headDim();
    long stateOffset = size.state(row, head);
    Units initial = Units.read(inputs.initial(), stateOffset, width);
    int[] before = inputs.predecessors(size, row);
    var d =
        new Units(
            Units.read(last.y(), stateOffset, width),
            Units.read(last.c(), stateOffset, width),
            Units.read(last.n(), stateOffset, width),
            Units.read(last.m(), stateOffset, width));
    int end = size.length() - 1;
    int lastToken = inputs.isToken(size, row, end) ? end : before[end];
    for (int u = 0; u < width; u++) {
      float c = cell(initial.c, saved, size, row, head, lastToken, u, 4);
      float n = cell(initial.n, saved, size, row, head, lastToken, u, 5);
      d.m[u] -= c * d.c[u] + n * d.n[u];
    }
    var dRaw = new float[4][width];
    for (int t = end; t >= 0; t--) {
      if (inputs.isToken(size, row, t)) {
        for (int u = 0; u < width; u++) {
          long offset = saved(size, row, head, t) + u;
          float i = get(saved, offset);
          float signedF = get(saved, offset + width);
          float f = Math.abs(signedF);
          float z = get(saved, offset + 2L * width);
          float o = get(saved, offset + 3L * width);
          float c = get(saved, offset + 4L * width);
          float n = get(saved, offset + 5L * width);
          float slope = get(saved, offset + 6L * width);
          float cBefore = cell(initial.c, saved, size, row, head, before[t], u, 4);
          float nBefore = cell(initial.n, saved, size, row, head, before[t], u, 5);
          boolean forgetSetM = signedF < 0;
          float dyAll = get(dy, size.output(row, t, head) + u) + d.y[u];
          float dc = d.c[u] + dyAll * o / n;
          float dn = d.n[u] - dyAll * o / n * (c / n);
          dRaw[0][u] = i * (z * dc + dn) + (forgetSetM ? 0 : d.m[u]);
          dRaw[1][u] = slope * (f * (cBefore * dc + nBefore * dn) + (forgetSetM ? d.m[u] : 0));
          dRaw[2][u] = i * dc * (1 - z * z);
          dRaw[3][u] = (1 - o) * o * (c / n) * dyAll;
          d.c[u] = f * dc;
          d.n[u] = f * dn;
          d.m[u] = forgetSetM ? d.m[u] : 0;
        }
        for (int in = 0; in < width; in++) { // dy = Rᵀ dRaw
          float sum = 0;
          for (int gate = 0; gate < 4; gate++) {
            for (int u = 0; u < width; u++) {
              sum += get(inputs.r(), size.kernel(head, in, gate) + u) * dRaw[gate][u];
            }
          }
          d.y[in] = sum;
        }
        for (int gate = 0; gate < 4; gate++) {
          SegmentFloats.copy(dRaw[gate], 0, gradients.wx(), size.gate(row, t, gate, head), width);
        }
      } else {
        for (int gate = 0; gate < 4; gate++) {
          SegmentFloats.zero(gradients.wx(), size.gate(row, t, gate, head), width);
        }
      }
      if (inputs.isStart(size, row, t)) {
        d.clear();
      }
    }
    for (int u = 0; u < width; u++) {
      d.m[u] += initial.c[u] * d.c[u] + initial.n[u] * d.n[u];
    }
    d.write(gradients.initial(), stateOffset);
  }

  /// dR and dB, summed over rows and steps in order.
  private static void sumOverRows(
      Size size, Inputs inputs, MemorySegment y, Gradients gradients, int head) {
    int width = size.headDim();
    var dR = new float[width][4][width];
    var dB = new float[4][width];
    for (int row = 0; row < size.batch(); row++) {
      int[] before = inputs.predecessors(size, row);
      for (int t = 0; t < size.length(); t++) {
        for (int gate = 0; gate < 4; gate++) {
          for (int u = 0; u < width; u++) {
            float dRaw = get(gradients.wx(), size.gate(row, t, gate, head) + u);
            dB[gate][u] += dRaw;
            for (int in = 0; in < width && before[t] != FRESH; in++) {
              float yBefore =
                  before[t] == INITIAL
                      ? get(inputs.initial().y(), size.state(row, head) + in)
                      : get(y, size.output(row, before[t], head) + in);
              dR[in][gate][u] += yBefore * dRaw;
            }
          }
        }
      }
    }
    for (int gate = 0; gate < 4; gate++) {
      SegmentFloats.copy(dB[gate], 0, gradients.b(), size.bias(head, gate), width);
      for (int in = 0; in < width; in++) {
        SegmentFloats.copy(dR[in][gate], 0, gradients.r(), size.kernel(head, in, gate), width);
      }
    }
  }

  /// Unit `u` of c or n, the saved `part` 4 or 5, after step `step`.
  private static float cell(
      float[] initial,
      MemorySegment saved,
      Size size,
      int row,
      int head,
      int step,
      int u,
      int part) {
    return switch (step) {
      case INITIAL -> initial[u];
      case FRESH -> 0;
      default -> get(saved, saved(size, row, head, step) + (long) part * size.headDim() + u);
    };
  }

  private static long saved(Size size, int row, int head, int step) {
    return (size.state(row, head) * size.length() + (long) step * size.headDim()) * SAVED;
  }

  private static float sigmoid(float x) {
    return (float) (1 / (1 + Math.exp(-x)));
  }

  private static float logSigmoid(float x) {
    return (float) (Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))));
  }

  /// The four parts of the state, or their gradients, for the units of one row and head.
  private record Units(float[] y, float[] c, float[] n, float[] m) {
    static Units read(State from, long offset, int width) {
      return new Units(
          read(from.y(), offset, width),
          read(from.c(), offset, width),
          read(from.n(), offset, width),
          read(from.m(), offset, width));
    }

    static float[] read(@Nullable MemorySegment from, long offset, int width) {
      var part = new float[width];
      if (from != null) {
        SegmentFloats.copy(from, offset, part, 0, width);
      }
      return part;
    }

    void write(State to, long offset) {
      SegmentFloats.copy(y, 0, to.y(), offset, y.length);
      SegmentFloats.copy(c, 0, to.c(), offset, c.length);
      SegmentFloats.copy(n, 0, to.n(), offset, n.length);
      SegmentFloats.copy(m, 0, to.m(), offset, m.length);
    }

    void clear() {
      Arrays.fill(y, 0);
      Arrays.fill(c, 0);
      Arrays.fill(n, 0);
      Arrays.fill(m, 0);
    }
  }
}
