package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.SegmentFloats.get;
import static io.xlstm4j.kernels.SegmentFloats.load;
import static io.xlstm4j.kernels.SegmentFloats.set;
import static io.xlstm4j.kernels.SegmentFloats.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// [TokenKernels] on the Vector API.
public final class VectorTokenKernels implements TokenKernels {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int WIDTH = LANES.length();

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
    MemorySegment weight = convolution.weight();
    for (int c = 0; c < channels; c += WIDTH) {
      int count = channels - c;
      var current = load(x, xAt + c, count);
      var sum = load(convolution.bias(), c, count);
      for (int tap = 0; tap < history; tap++) {
        long at = (long) tap * channels + c;
        var earlier = load(tail, tailAt + at, count);
        sum = earlier.fma(load(weight, at, count), sum);
        if (tap > 0) {
          store(earlier, tail, tailAt + at - channels, count);
        }
      }
      long last = (long) history * channels + c;
      sum = current.fma(load(weight, last, count), sum);
      if (history > 0) {
        store(current, tail, tailAt + last - channels, count);
      }
      store(sum.mul(VectorMath.sigmoid(sum)), y, yAt + c, count);
    }
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmRows rows, int row, int head, MemorySegment state, long stateAt) {
    int qk = cell.qkDim();
    int dv = cell.vDim();
    long c = stateAt + (long) head * qk * dv;
    long n = stateAt + (long) cell.heads() * qk * dv + (long) head * qk;
    long m = stateAt + (long) cell.heads() * (qk * dv + qk) + head;
    long q = rows.q().row(row) + (long) head * qk;
    long k = rows.k().row(row) + (long) head * qk;
    long v = rows.v().row(row) + (long) head * dv;
    long h = rows.h().row(row) + (long) head * dv;
    double igate = get(rows.igate().data(), rows.igate().row(row) + head);
    double carried =
        ScalarTokenKernels.logSigmoid(get(rows.fgate().data(), rows.fgate().row(row) + head))
            + get(state, m);
    double next = Math.max(carried, igate);
    float forget = (float) Math.exp(carried - next);
    float input = (float) Math.exp(igate - next);
    float scale = (float) (1 / Math.sqrt(qk));
    set(state, m, (float) next);
    normalizer(qk, forget, input, rows.k().data(), k, state, n);
    float denominator = scale * dot(qk, rows.q().data(), q, state, n);
    float divisor = (float) Math.max(Math.abs(denominator), Math.exp(-next)) + cell.epsilon();
    float factor = scale / divisor;
    int col = 0;
    for (; col + 4 * WIDTH <= dv; col += 4 * WIDTH) {
      memoryBy4(qk, dv, forget, input, rows, q, k, v + col, state, c + col, factor, h + col);
    }
    for (; col < dv; col += WIDTH) {
      memory(qk, dv, dv - col, forget, input, rows, q, k, v + col, state, c + col, factor, h + col);
    }
  }

  /// `n = f n + i k`
  private static void normalizer(
      int count, float forget, float input, MemorySegment k, long kAt, MemorySegment n, long nAt) {
    for (int i = 0; i < count; i += WIDTH) {
      var old = load(n, nAt + i, count - i).mul(forget);
      store(old.add(load(k, kAt + i, count - i).mul(input)), n, nAt + i, count - i);
    }
  }

  private static float dot(int count, MemorySegment a, long aAt, MemorySegment b, long bAt) {
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      sum = load(a, aAt + i, count - i).fma(load(b, bAt + i, count - i), sum);
    }
    return MlstmMath.sum(sum);
  }

  /// Four vectors of columns: `C = f C + i k vᵀ`, `h = Cᵀ q` times `factor`.
  private static void memoryBy4(
      int qk,
      int dv,
      float forget,
      float input,
      MlstmRows rows,
      long q,
      long k,
      long v,
      MemorySegment c,
      long cAt,
      float factor,
      long h) {
    var v0 = load(rows.v().data(), v, WIDTH).mul(input);
    var v1 = load(rows.v().data(), v + WIDTH, WIDTH).mul(input);
    var v2 = load(rows.v().data(), v + 2L * WIDTH, WIDTH).mul(input);
    var v3 = load(rows.v().data(), v + 3L * WIDTH, WIDTH).mul(input);
    var h0 = FloatVector.zero(LANES);
    var h1 = h0;
    var h2 = h0;
    var h3 = h0;
    for (int r = 0; r < qk; r++) {
      long at = cAt + (long) r * dv;
      var kr = FloatVector.broadcast(LANES, get(rows.k().data(), k + r));
      var qr = FloatVector.broadcast(LANES, get(rows.q().data(), q + r));
      var c0 = kr.fma(v0, load(c, at, WIDTH).mul(forget));
      var c1 = kr.fma(v1, load(c, at + WIDTH, WIDTH).mul(forget));
      var c2 = kr.fma(v2, load(c, at + 2L * WIDTH, WIDTH).mul(forget));
      var c3 = kr.fma(v3, load(c, at + 3L * WIDTH, WIDTH).mul(forget));
      store(c0, c, at, WIDTH);
      store(c1, c, at + WIDTH, WIDTH);
      store(c2, c, at + 2L * WIDTH, WIDTH);
      store(c3, c, at + 3L * WIDTH, WIDTH);
      h0 = qr.fma(c0, h0);
      h1 = qr.fma(c1, h1);
      h2 = qr.fma(c2, h2);
      h3 = qr.fma(c3, h3);
    }
    MemorySegment out = rows.h().data();
    store(h0.mul(factor), out, h, WIDTH);
    store(h1.mul(factor), out, h + WIDTH, WIDTH);
    store(h2.mul(factor), out, h + 2L * WIDTH, WIDTH);
    store(h3.mul(factor), out, h + 3L * WIDTH, WIDTH);
  }

  /// One vector of columns, or the `count` that are left.
  private static void memory(
      int qk,
      int dv,
      int count,
      float forget,
      float input,
      MlstmRows rows,
      long q,
      long k,
      long v,
      MemorySegment c,
      long cAt,
      float factor,
      long h) {
    var v0 = load(rows.v().data(), v, count).mul(input);
    var h0 = FloatVector.zero(LANES);
    for (int r = 0; r < qk; r++) {
      long at = cAt + (long) r * dv;
      var kr = FloatVector.broadcast(LANES, get(rows.k().data(), k + r));
      var qr = FloatVector.broadcast(LANES, get(rows.q().data(), q + r));
      var c0 = kr.fma(v0, load(c, at, count).mul(forget));
      store(c0, c, at, count);
      h0 = qr.fma(c0, h0);
    }
    store(h0.mul(factor), rows.h().data(), h, count);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    if (cell.plain()) {
      plain(cell.units(), gates, gatesAt, state, stateAt);
    } else {
      exponential(cell.units(), gates, gatesAt, state, stateAt);
    }
    Float clip = cell.clip();
    if (clip != null) {
      clip(cell.units(), clip, state, stateAt);
    }
  }

  private static void exponential(
      int units, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      long y = stateAt + u;
      long c = y + units;
      long n = c + units;
      long m = n + units;
      var i = load(gates, gatesAt + u, count);
      var logF = logForget(load(gates, gatesAt + units + u, count), load(state, m, count));
      var oldN = load(state, n, count);
      var next = i.max(logF).blend(i, oldN.compare(VectorOperators.EQ, 0f));
      var input = VectorMath.expOfNegative(i.sub(next));
      var forget = VectorMath.expOfNegative(logF.sub(next).min(0f));
      var newN = forget.fma(oldN, input);
      var z = VectorMath.tanh(load(gates, gatesAt + 2L * units + u, count));
      var newC = forget.fma(load(state, c, count), input.mul(z));
      store(next, state, m, count);
      store(newN, state, n, count);
      store(newC, state, c, count);
      output(newC.div(newN), gates, gatesAt + 3L * units + u, state, y, count);
    }
  }

  private static FloatVector logForget(FloatVector f, FloatVector m) {
    return m.add(f.min(0f).sub(VectorMath.log1pOfUnit(VectorMath.expOfNegative(f.abs().neg()))));
  }

  private static void output(
      FloatVector cell, MemorySegment gates, long o, MemorySegment state, long y, int count) {
    store(cell.mul(VectorMath.sigmoid(load(gates, o, count))), state, y, count);
  }

  private static void plain(
      int units, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      long y = stateAt + u;
      long c = y + units;
      var input = VectorMath.sigmoid(load(gates, gatesAt + u, count));
      var forget = VectorMath.sigmoid(load(gates, gatesAt + units + u, count));
      var z = VectorMath.tanh(load(gates, gatesAt + 2L * units + u, count));
      var newC = forget.fma(load(state, c, count), input.mul(z));
      store(newC, state, c, count);
      output(VectorMath.tanh(newC), gates, gatesAt + 3L * units + u, state, y, count);
    }
  }

  private static void clip(int units, float bound, MemorySegment state, long y) {
    for (int u = 0; u < units; u += WIDTH) {
      var clipped = load(state, y + u, units - u).min(bound).max(-bound);
      store(clipped, state, y + u, units - u);
    }
  }
}
