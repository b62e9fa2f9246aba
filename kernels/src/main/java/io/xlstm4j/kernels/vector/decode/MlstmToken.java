package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;
import static io.xlstm4j.kernels.vector.math.VectorMath.LANES;
import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.reference.ScalarTokenKernels;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;

/// One token of one head of one row through the mLSTM cell (docs/math.md 2.1): C is changed where
/// it lies, the rest on arrays filled up to whole vectors, in loops that are compiled one by one
/// ([ArrayLoops]). Kept from token to token, by one thread.
final class MlstmToken {
  private static final int WIDTH = LANES.length();
  private static final int BYTES = WIDTH * Float.BYTES;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private static final ArrayLoops<MlstmToken> NORMALIZER =
      new ArrayLoops<>(List.of(MlstmToken::normalizer, MlstmToken::denominator));
  private static final ArrayLoops<MlstmToken> MEMORY =
      new ArrayLoops<>(
          List.of(
              MlstmToken::inputs,
              MlstmToken::fourVectors,
              MlstmToken::vectors,
              MlstmToken::rest,
              MlstmToken::outputs));

  private int qk;
  private int dv;
  private float forget;
  private float input;
  private float factor;
  private float dot; // q n
  private MemorySegment state = MemorySegment.NULL;
  private long c;
  private float[] q = new float[0];
  private float[] k = q;
  private float[] n = q;
  private float[] v = q;
  private float[] h = q;

  void run(
      TokenKernels.Mlstm cell,
      TokenKernels.MlstmOperands rows,
      int row,
      int head,
      MemorySegment memory,
      long stateOffset) {
    fit(cell.qkDim(), cell.vDim());
    state = memory;
    c = stateOffset + (long) head * qk * dv;
    long nOffset = stateOffset + (long) cell.heads() * qk * dv + (long) head * qk;
    long mOffset = stateOffset + (long) cell.heads() * (qk * dv + qk) + head;
    read(rows.q(), row, head, qk, q);
    read(rows.k(), row, head, qk, k);
    read(rows.v(), row, head, dv, v);
    SegmentVectors.read(memory, nOffset, n, 0, qk);
    double igate = get(rows.igate().data(), rows.igate().row(row) + head);
    double carried =
        ScalarTokenKernels.logSigmoid(get(rows.fgate().data(), rows.fgate().row(row) + head))
            + get(memory, mOffset);
    double next = Math.max(carried, igate);
    forget = (float) Math.exp(carried - next);
    input = (float) Math.exp(igate - next);
    set(memory, mOffset, (float) next);
    NORMALIZER.run(this);
    SegmentVectors.write(n, 0, memory, nOffset, qk);
    float scale = (float) (1 / Math.sqrt(qk));
    float denominator = scale * dot;
    float divisor = (float) Math.max(Math.abs(denominator), Math.exp(-next)) + cell.epsilon();
    factor = scale / divisor;
    MEMORY.run(this);
    MemoryMatrix out = rows.h();
    SegmentVectors.write(h, 0, out.data(), out.row(row) + (long) head * dv, dv);
    state = MemorySegment.NULL; // which may be freed while this waits for the next token
  }

  private static void read(MemoryMatrix rows, int row, int head, int count, float[] to) {
    SegmentVectors.read(rows.data(), rows.row(row) + (long) head * count, to, 0, count);
  }

  /// Makes room, with zeros between the last number and the next whole vector.
  private void fit(int newQk, int newDv) {
    if (qk != newQk) {
      q = new float[PreJitMath.padded(newQk)];
      k = q.clone();
      n = q.clone();
      qk = newQk;
    }
    if (dv != newDv) {
      v = new float[PreJitMath.padded(newDv)];
      h = v.clone();
      dv = newDv;
    }
  }

  /// `n = f n + i k`
  private void normalizer() {
    for (int r = 0; r < n.length; r += WIDTH) {
      at(n, r).mul(forget).add(at(k, r).mul(input)).intoArray(n, r);
    }
  }

  private void denominator() {
    var sum = FloatVector.zero(LANES);
    for (int r = 0; r < n.length; r += WIDTH) {
      sum = at(q, r).fma(at(n, r), sum);
    }
    dot = MlstmMath.sum(sum);
  }

  private void inputs() {
    Arrays.fill(h, 0);
    for (int col = 0; col < v.length; col += WIDTH) {
      at(v, col).mul(input).intoArray(v, col);
    }
  }

  /// `C = f C + i k vᵀ` and `h = Cᵀ q` for four vectors of columns at a time.
  private void fourVectors() {
    for (int col = 0; col + 4 * WIDTH <= dv; col += 4 * WIDTH) {
      var v0 = at(v, col);
      var v1 = at(v, col + WIDTH);
      var v2 = at(v, col + 2 * WIDTH);
      var v3 = at(v, col + 3 * WIDTH);
      var h0 = FloatVector.zero(LANES);
      var h1 = h0;
      var h2 = h0;
      var h3 = h0;
      for (int r = 0; r < qk; r++) {
        long from = (c + (long) r * dv + col) * Float.BYTES;
        var kr = FloatVector.broadcast(LANES, k[r]);
        var qr = FloatVector.broadcast(LANES, q[r]);
        var c0 = kr.fma(v0, FloatVector.fromMemorySegment(LANES, state, from, ORDER).mul(forget));
        var c1 =
            kr.fma(
                v1, FloatVector.fromMemorySegment(LANES, state, from + BYTES, ORDER).mul(forget));
        var c2 =
            kr.fma(
                v2,
                FloatVector.fromMemorySegment(LANES, state, from + 2L * BYTES, ORDER).mul(forget));
        var c3 =
            kr.fma(
                v3,
                FloatVector.fromMemorySegment(LANES, state, from + 3L * BYTES, ORDER).mul(forget));
        c0.intoMemorySegment(state, from, ORDER);
        c1.intoMemorySegment(state, from + BYTES, ORDER);
        c2.intoMemorySegment(state, from + 2L * BYTES, ORDER);
        c3.intoMemorySegment(state, from + 3L * BYTES, ORDER);
        h0 = qr.fma(c0, h0);
        h1 = qr.fma(c1, h1);
        h2 = qr.fma(c2, h2);
        h3 = qr.fma(c3, h3);
      }
      h0.intoArray(h, col);
      h1.intoArray(h, col + WIDTH);
      h2.intoArray(h, col + 2 * WIDTH);
      h3.intoArray(h, col + 3 * WIDTH);
    }
  }

  /// The whole vectors after those.
  private void vectors() {
    for (int col = dv / (4 * WIDTH) * 4 * WIDTH; col + WIDTH <= dv; col += WIDTH) {
      var v0 = at(v, col);
      var h0 = FloatVector.zero(LANES);
      for (int r = 0; r < qk; r++) {
        long from = (c + (long) r * dv + col) * Float.BYTES;
        var kr = FloatVector.broadcast(LANES, k[r]);
        var qr = FloatVector.broadcast(LANES, q[r]);
        var c0 = kr.fma(v0, FloatVector.fromMemorySegment(LANES, state, from, ORDER).mul(forget));
        c0.intoMemorySegment(state, from, ORDER);
        h0 = qr.fma(c0, h0);
      }
      h0.intoArray(h, col);
    }
  }

  /// The columns that fill no vector.
  private void rest() {
    int whole = LANES.loopBound(dv);
    for (int r = 0; r < qk && whole < dv; r++) {
      long from = c + (long) r * dv;
      for (int col = whole; col < dv; col++) {
        float now = Math.fma(k[r], v[col], get(state, from + col) * forget);
        set(state, from + col, now);
        h[col] = Math.fma(q[r], now, h[col]);
      }
    }
  }

  private void outputs() {
    for (int col = 0; col < h.length; col += WIDTH) {
      at(h, col).mul(factor).intoArray(h, col);
    }
  }
}
