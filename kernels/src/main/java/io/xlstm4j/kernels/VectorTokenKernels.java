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
    copy(channels, convolution.bias(), 0, y, yAt);
    for (int tap = 0; tap < history; tap++) {
      long at = (long) tap * channels;
      addProduct(channels, weight, at, tail, tailAt + at, y, yAt);
      if (tap > 0) {
        copy(channels, tail, tailAt + at, tail, tailAt + at - channels);
      }
    }
    long last = (long) history * channels;
    addProduct(channels, weight, last, x, xAt, y, yAt);
    if (history > 0) {
      copy(channels, x, xAt, tail, tailAt + last - channels);
    }
    silu(channels, y, yAt);
  }

  private static void copy(int count, MemorySegment from, long at, MemorySegment to, long start) {
    MemorySegment.copy(from, at * Float.BYTES, to, start * Float.BYTES, (long) count * Float.BYTES);
  }

  /// `y += a b`
  private static void addProduct(
      int count, MemorySegment a, long aAt, MemorySegment b, long bAt, MemorySegment y, long yAt) {
    for (int i = 0; i < count; i += WIDTH) {
      var sum =
          load(a, aAt + i, count - i).fma(load(b, bAt + i, count - i), load(y, yAt + i, count - i));
      store(sum, y, yAt + i, count - i);
    }
  }

  private static void silu(int count, MemorySegment y, long yAt) {
    for (int i = 0; i < count; i += WIDTH) {
      var x = load(y, yAt + i, count - i);
      store(x.mul(VectorMath.sigmoid(x)), y, yAt + i, count - i);
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

  /// In short loops, the gates' memory holding what comes between: the compiler stops inlining
  /// early.
  private static void exponential(
      int units, MemorySegment gates, long i, MemorySegment state, long y) {
    long f = i + units;
    long z = f + units;
    long o = z + units;
    long c = y + units;
    long n = c + units;
    long m = n + units;
    logSigmoid(units, gates, f, state, y); // the old y is in the gates already
    tanh(units, gates, z);
    sigmoid(units, gates, o);
    stabilize(units, gates, i, f, state, n, m);
    exp(units, gates, i);
    exp(units, gates, f);
    multiply(units, gates, i, gates, z, gates, z);
    accumulate(units, gates, f, gates, i, state, n);
    accumulate(units, gates, f, gates, z, state, c);
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      store(load(state, c + u, count).div(load(state, n + u, count)), state, y + u, count);
    }
    multiply(units, state, y, gates, o, state, y);
  }

  /// `y = a b`
  private static void multiply(
      int count, MemorySegment a, long aAt, MemorySegment b, long bAt, MemorySegment y, long yAt) {
    for (int i = 0; i < count; i += WIDTH) {
      var product = load(a, aAt + i, count - i).mul(load(b, bAt + i, count - i));
      store(product, y, yAt + i, count - i);
    }
  }

  /// `y = a y + b`
  private static void accumulate(
      int count, MemorySegment a, long aAt, MemorySegment b, long bAt, MemorySegment y, long yAt) {
    for (int i = 0; i < count; i += WIDTH) {
      var kept = load(a, aAt + i, count - i);
      store(
          kept.fma(load(y, yAt + i, count - i), load(b, bAt + i, count - i)),
          y,
          yAt + i,
          count - i);
    }
  }

  /// The new m; i and f become the exponents of the two gates.
  private static void stabilize(
      int units, MemorySegment gates, long i, long f, MemorySegment state, long n, long m) {
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      var input = load(gates, i + u, count);
      var logF = load(gates, f + u, count).add(load(state, m + u, count));
      var fresh = load(state, n + u, count).compare(VectorOperators.EQ, 0f);
      var next = input.max(logF).blend(input, fresh);
      store(next, state, m + u, count);
      store(input.sub(next), gates, i + u, count);
      store(logF.sub(next).min(0f), gates, f + u, count);
    }
  }

  /// @param between memory for as many floats
  private static void logSigmoid(
      int count, MemorySegment data, long at, MemorySegment between, long start) {
    for (int i = 0; i < count; i += WIDTH) {
      var x = load(data, at + i, count - i);
      store(VectorMath.expOfNegative(x.abs().neg()), between, start + i, count - i);
    }
    for (int i = 0; i < count; i += WIDTH) {
      var rest = VectorMath.log1pOfUnit(load(between, start + i, count - i));
      store(load(data, at + i, count - i).min(0f).sub(rest), data, at + i, count - i);
    }
  }

  private static void tanh(int count, MemorySegment data, long at) {
    for (int i = 0; i < count; i += WIDTH) {
      store(VectorMath.tanh(load(data, at + i, count - i)), data, at + i, count - i);
    }
  }

  private static void sigmoid(int count, MemorySegment data, long at) {
    for (int i = 0; i < count; i += WIDTH) {
      store(VectorMath.sigmoid(load(data, at + i, count - i)), data, at + i, count - i);
    }
  }

  /// Of what is at most zero.
  private static void exp(int count, MemorySegment data, long at) {
    for (int i = 0; i < count; i += WIDTH) {
      store(VectorMath.expOfNegative(load(data, at + i, count - i)), data, at + i, count - i);
    }
  }

  private static void plain(int units, MemorySegment gates, long i, MemorySegment state, long y) {
    long z = i + 2L * units;
    long c = y + units;
    sigmoid(2 * units, gates, i);
    tanh(units, gates, z);
    sigmoid(units, gates, z + units);
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      var added = load(gates, i + u, count).mul(load(gates, z + u, count));
      var forget = load(gates, i + units + u, count);
      var newC = forget.fma(load(state, c + u, count), added);
      store(newC, state, c + u, count);
      store(newC, state, y + u, count);
    }
    tanh(units, state, y);
    for (int u = 0; u < units; u += WIDTH) {
      int count = units - u;
      var o = load(gates, z + units + u, count);
      store(load(state, y + u, count).mul(o), state, y + u, count);
    }
  }

  private static void clip(int units, float bound, MemorySegment state, long y) {
    for (int u = 0; u < units; u += WIDTH) {
      var clipped = load(state, y + u, units - u).min(bound).max(-bound);
      store(clipped, state, y + u, units - u);
    }
  }
}
