package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.copy;
import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.FloatRows;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.reference.ScalarTokenKernels;
import io.xlstm4j.kernels.vector.math.LaneMath;
import java.lang.foreign.MemorySegment;

/// [VectorTokenKernels] lane by lane, with the same bits, in plain Java on copies: reading memory
/// number by number is slow before it is compiled.
final class LaneTokenKernels implements TokenKernels {
  private static final int LANES = LaneMath.LANES;

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xAt,
      MemorySegment tail,
      long tailAt,
      MemorySegment y,
      long yAt) {
    int channels = convolution.channels();
    int history = convolution.taps() - 1;
    var weight = new float[(history + 1) * channels];
    copy(convolution.weight(), 0, weight, 0, weight.length);
    var inputs = new float[(history + 1) * channels];
    copy(tail, tailAt, inputs, 0, history * channels);
    copy(x, xAt, inputs, history * channels, channels);
    var sums = new float[channels];
    copy(convolution.bias(), 0, sums, 0, channels);
    for (int tap = 0; tap <= history; tap++) {
      int at = tap * channels;
      for (int c = 0; c < channels; c++) {
        sums[c] = Math.fma(weight[at + c], inputs[at + c], sums[c]);
      }
    }
    for (int c = 0; c < channels; c++) {
      sums[c] *= LaneMath.sigmoid(sums[c]);
    }
    copy(inputs, channels, tail, tailAt, history * channels);
    copy(sums, 0, y, yAt, channels);
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmRows rows, int row, int head, MemorySegment state, long stateAt) {
    int qk = cell.qkDim();
    int dv = cell.vDim();
    long cAt = stateAt + (long) head * qk * dv;
    long nAt = stateAt + (long) cell.heads() * qk * dv + (long) head * qk;
    long mAt = stateAt + (long) cell.heads() * (qk * dv + qk) + head;
    float[] q = padded(rows.q(), row, head, qk);
    float[] k = padded(rows.k(), row, head, qk);
    float[] v = padded(rows.v(), row, head, dv);
    double igate = get(rows.igate().data(), rows.igate().row(row) + head);
    double carried =
        ScalarTokenKernels.logSigmoid(get(rows.fgate().data(), rows.fgate().row(row) + head))
            + get(state, mAt);
    double next = Math.max(carried, igate);
    float forget = (float) Math.exp(carried - next);
    float input = (float) Math.exp(igate - next);
    float scale = (float) (1 / Math.sqrt(qk));
    set(state, mAt, (float) next);
    var n = new float[k.length];
    copy(state, nAt, n, 0, qk);
    for (int i = 0; i < n.length; i++) {
      n[i] = n[i] * forget + k[i] * input;
    }
    copy(n, 0, state, nAt, qk);
    float denominator = scale * dot(q, n);
    float divisor = (float) Math.max(Math.abs(denominator), Math.exp(-next)) + cell.epsilon();
    float factor = scale / divisor;
    for (int i = 0; i < dv; i++) {
      v[i] *= input;
    }
    var c = new float[qk * dv];
    copy(state, cAt, c, 0, c.length);
    var h = new float[dv];
    for (int r = 0; r < qk; r++) {
      update(dv, c, r * dv, forget, k[r], v, q[r], h);
    }
    copy(c, 0, state, cAt, c.length);
    for (int i = 0; i < dv; i++) {
      h[i] *= factor;
    }
    copy(h, 0, rows.h().data(), rows.h().row(row) + (long) head * dv, dv);
  }

  /// One row of `C = f C + k vᵀ`, and of `h = Cᵀ q`.
  private static void update(
      int count, float[] c, int at, float forget, float k, float[] v, float q, float[] h) {
    for (int i = 0; i < count; i++) {
      float now = Math.fma(k, v[i], c[at + i] * forget);
      c[at + i] = now;
      h[i] = Math.fma(q, now, h[i]);
    }
  }

  /// A head of a row, and zeros up to a whole vector.
  private static float[] padded(FloatRows rows, int row, int head, int count) {
    var values = new float[LaneMath.padded(count)];
    copy(rows.data(), rows.row(row) + (long) head * count, values, 0, count);
    return values;
  }

  private static float dot(float[] a, float[] b) {
    var lanes = new float[LANES];
    for (int i = 0; i < a.length; i++) {
      lanes[i % LANES] = Math.fma(a[i], b[i], lanes[i % LANES]);
    }
    return LaneMath.sum(lanes, 0);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    int units = cell.units();
    var raw = new float[4 * units];
    copy(gates, gatesAt, raw, 0, raw.length);
    var now = new float[4 * units];
    copy(state, stateAt, now, 0, now.length);
    Float clip = cell.clip();
    for (int u = 0; u < units; u++) {
      if (cell.plain()) {
        plain(units, u, raw, now);
      } else {
        exponential(units, u, raw, now);
      }
      if (clip != null) {
        now[u] = Math.max(Math.min(now[u], clip), -clip);
      }
    }
    copy(now, 0, state, stateAt, now.length);
  }

  private static void exponential(int units, int u, float[] raw, float[] now) {
    float i = raw[u];
    float f = raw[units + u];
    float n = now[2 * units + u];
    float rest = LaneMath.log1pOfUnit(LaneMath.expOfNegative(-Math.abs(f)));
    float logF = Math.min(f, 0f) - rest + now[3 * units + u];
    float m = n == 0 ? i : Math.max(i, logF);
    float input = LaneMath.expOfNegative(i - m);
    float forget = LaneMath.expOfNegative(Math.min(logF - m, 0f));
    float added = input * LaneMath.tanh(raw[2 * units + u]);
    float nextN = Math.fma(forget, n, input);
    float nextC = Math.fma(forget, now[units + u], added);
    now[units + u] = nextC;
    now[2 * units + u] = nextN;
    now[3 * units + u] = m;
    now[u] = nextC / nextN * LaneMath.sigmoid(raw[3 * units + u]);
  }

  private static void plain(int units, int u, float[] raw, float[] now) {
    float added = LaneMath.sigmoid(raw[u]) * LaneMath.tanh(raw[2 * units + u]);
    float c = Math.fma(LaneMath.sigmoid(raw[units + u]), now[units + u], added);
    now[units + u] = c;
    now[u] = LaneMath.tanh(c) * LaneMath.sigmoid(raw[3 * units + u]);
  }
}
