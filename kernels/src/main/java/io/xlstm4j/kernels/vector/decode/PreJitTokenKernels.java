package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.copy;
import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.reference.ScalarTokenKernels;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import java.lang.foreign.MemorySegment;

/// [VectorTokenKernels] lane by lane, with the same bits, in plain Java on copies: reading memory
/// number by number is slow before it is compiled.
final class PreJitTokenKernels implements TokenKernels {
  private static final int LANES = PreJitMath.LANES;

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xOffset,
      MemorySegment tail,
      long tailOffset,
      MemorySegment y,
      long yOffset) {
    int channels = convolution.channels();
    int history = convolution.kernelSize() - 1;
    var weight = new float[(history + 1) * channels];
    copy(convolution.weight(), 0, weight, 0, weight.length);
    var inputs = new float[(history + 1) * channels];
    copy(tail, tailOffset, inputs, 0, history * channels);
    copy(x, xOffset, inputs, history * channels, channels);
    var sums = new float[channels];
    copy(convolution.bias(), 0, sums, 0, channels);
    for (int tap = 0; tap <= history; tap++) {
      int offset = tap * channels;
      for (int c = 0; c < channels; c++) {
        sums[c] = Math.fma(weight[offset + c], inputs[offset + c], sums[c]);
      }
    }
    for (int c = 0; c < channels; c++) {
      sums[c] *= PreJitMath.sigmoid(sums[c]);
    }
    copy(inputs, channels, tail, tailOffset, history * channels);
    copy(sums, 0, y, yOffset, channels);
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmOperands rows, int row, int head, MemorySegment state, long stateOffset) {
    int qk = cell.qkDim();
    int dv = cell.vDim();
    long cOffset = stateOffset + (long) head * qk * dv;
    long nOffset = stateOffset + (long) cell.heads() * qk * dv + (long) head * qk;
    long mOffset = stateOffset + (long) cell.heads() * (qk * dv + qk) + head;
    float[] q = padded(rows.q(), row, head, qk);
    float[] k = padded(rows.k(), row, head, qk);
    float[] v = padded(rows.v(), row, head, dv);
    double igate = get(rows.igate().data(), rows.igate().row(row) + head);
    double carried =
        ScalarTokenKernels.logSigmoid(get(rows.fgate().data(), rows.fgate().row(row) + head))
            + get(state, mOffset);
    double next = Math.max(carried, igate);
    float forget = (float) Math.exp(carried - next);
    float input = (float) Math.exp(igate - next);
    float scale = (float) (1 / Math.sqrt(qk));
    set(state, mOffset, (float) next);
    var n = new float[k.length];
    copy(state, nOffset, n, 0, qk);
    for (int i = 0; i < n.length; i++) {
      n[i] = n[i] * forget + k[i] * input;
    }
    copy(n, 0, state, nOffset, qk);
    float denominator = scale * dot(q, n);
    float divisor = (float) Math.max(Math.abs(denominator), Math.exp(-next)) + cell.epsilon();
    float factor = scale / divisor;
    for (int i = 0; i < dv; i++) {
      v[i] *= input;
    }
    var c = new float[qk * dv];
    copy(state, cOffset, c, 0, c.length);
    var h = new float[dv];
    for (int r = 0; r < qk; r++) {
      update(dv, c, r * dv, forget, k[r], v, q[r], h);
    }
    copy(c, 0, state, cOffset, c.length);
    for (int i = 0; i < dv; i++) {
      h[i] *= factor;
    }
    copy(h, 0, rows.h().data(), rows.h().row(row) + (long) head * dv, dv);
  }

  /// One row of `C = f C + k vᵀ`, and of `h = Cᵀ q`.
  private static void update(
      int count, float[] c, int offset, float forget, float k, float[] v, float q, float[] h) {
    for (int i = 0; i < count; i++) {
      float now = Math.fma(k, v[i], c[offset + i] * forget);
      c[offset + i] = now;
      h[i] = Math.fma(q, now, h[i]);
    }
  }

  /// A head of a row, and zeros up to a whole vector.
  private static float[] padded(MemoryMatrix rows, int row, int head, int count) {
    var values = new float[PreJitMath.padded(count)];
    copy(rows.data(), rows.row(row) + (long) head * count, values, 0, count);
    return values;
  }

  private static float dot(float[] a, float[] b) {
    var lanes = new float[LANES];
    for (int i = 0; i < a.length; i++) {
      lanes[i % LANES] = Math.fma(a[i], b[i], lanes[i % LANES]);
    }
    return PreJitMath.sum(lanes, 0);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesOffset, MemorySegment state, long stateOffset) {
    int units = cell.units();
    var raw = new float[4 * units];
    copy(gates, gatesOffset, raw, 0, raw.length);
    var now = new float[4 * units];
    copy(state, stateOffset, now, 0, now.length);
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
    copy(now, 0, state, stateOffset, now.length);
  }

  private static void exponential(int units, int u, float[] raw, float[] now) {
    float i = raw[u];
    float f = raw[units + u];
    float n = now[2 * units + u];
    float rest = PreJitMath.log1pOfUnit(PreJitMath.expOfNegative(-Math.abs(f)));
    float logF = Math.min(f, 0f) - rest + now[3 * units + u];
    float m = n == 0 ? i : Math.max(i, logF);
    float input = PreJitMath.expOfNegative(i - m);
    float forget = PreJitMath.expOfNegative(Math.min(logF - m, 0f));
    float added = input * PreJitMath.tanh(raw[2 * units + u]);
    float nextN = Math.fma(forget, n, input);
    float nextC = Math.fma(forget, now[units + u], added);
    now[units + u] = nextC;
    now[2 * units + u] = nextN;
    now[3 * units + u] = m;
    now[u] = nextC / nextN * PreJitMath.sigmoid(raw[3 * units + u]);
  }

  private static void plain(int units, int u, float[] raw, float[] now) {
    float added = PreJitMath.sigmoid(raw[u]) * PreJitMath.tanh(raw[2 * units + u]);
    float c = Math.fma(PreJitMath.sigmoid(raw[units + u]), now[units + u], added);
    now[units + u] = c;
    now[u] = PreJitMath.tanh(c) * PreJitMath.sigmoid(raw[3 * units + u]);
  }
}
