package io.xlstm4j.kernels.reference;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;
import static io.xlstm4j.kernels.memory.SegmentFloats.set;

import io.xlstm4j.kernels.TokenKernels;
import java.lang.foreign.MemorySegment;

/// [TokenKernels] as plain loops, in float64 within.
public final class ScalarTokenKernels implements TokenKernels {
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
    for (int c = 0; c < channels; c++) {
      double sum = get(convolution.bias(), c);
      for (int tap = 0; tap < history; tap++) {
        long offset = (long) tap * channels + c;
        sum += (double) get(convolution.weight(), offset) * get(tail, tailOffset + offset);
      }
      float current = get(x, xOffset + c);
      sum += (double) get(convolution.weight(), (long) history * channels + c) * current;
      for (int tap = 1; tap < history; tap++) {
        long offset = tailOffset + (long) tap * channels + c;
        set(tail, offset - channels, get(tail, offset));
      }
      if (history > 0) {
        set(tail, tailOffset + (history - 1L) * channels + c, current);
      }
      set(y, yOffset + c, (float) (sum * ScalarPositionKernels.sigmoid(sum)));
    }
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmOperands rows, int row, int head, MemorySegment state, long stateOffset) {
    int qk = cell.qkDim();
    int dv = cell.vDim();
    long c = stateOffset + (long) head * qk * dv;
    long n = stateOffset + (long) cell.heads() * qk * dv + (long) head * qk;
    long m = stateOffset + (long) cell.heads() * (qk * dv + qk) + head;
    long q = rows.q().row(row) + (long) head * qk;
    long k = rows.k().row(row) + (long) head * qk;
    long v = rows.v().row(row) + (long) head * dv;
    double igate = get(rows.igate().data(), rows.igate().row(row) + head);
    double logF = logSigmoid(get(rows.fgate().data(), rows.fgate().row(row) + head));
    double next = Math.max(logF + get(state, m), igate);
    double forget = Math.exp(logF + get(state, m) - next);
    double input = Math.exp(igate - next);
    double scale = 1 / Math.sqrt(qk);
    var numerator = new double[dv];
    double denominator = 0;
    for (int r = 0; r < qk; r++) {
      double ki = input * get(rows.k().data(), k + r);
      double qs = scale * get(rows.q().data(), q + r);
      for (int col = 0; col < dv; col++) {
        long offset = c + (long) r * dv + col;
        set(
            state,
            offset,
            (float) (forget * get(state, offset) + ki * get(rows.v().data(), v + col)));
        numerator[col] += qs * get(state, offset);
      }
      set(state, n + r, (float) (forget * get(state, n + r) + ki));
      denominator += qs * get(state, n + r);
    }
    set(state, m, (float) next);
    double divisor = Math.max(Math.abs(denominator), Math.exp(-next)) + cell.epsilon();
    for (int col = 0; col < dv; col++) {
      set(
          rows.h().data(),
          rows.h().row(row) + (long) head * dv + col,
          (float) (numerator[col] / divisor));
    }
  }

  public static double logSigmoid(double x) {
    return Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x)));
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesOffset, MemorySegment state, long stateOffset) {
    int units = cell.units();
    for (int u = 0; u < units; u++) {
      double i = get(gates, gatesOffset + u);
      double f = get(gates, gatesOffset + units + u);
      double z = Math.tanh(get(gates, gatesOffset + 2L * units + u));
      double o = ScalarPositionKernels.sigmoid(get(gates, gatesOffset + 3L * units + u));
      long y = stateOffset + u;
      long c = y + units;
      long n = c + units;
      long m = n + units;
      double out;
      if (cell.plain()) {
        double cNext =
            ScalarPositionKernels.sigmoid(f) * get(state, c) + ScalarPositionKernels.sigmoid(i) * z;
        set(state, c, (float) cNext);
        out = o * Math.tanh(cNext);
      } else {
        double logF = get(state, m) + logSigmoid(f);
        double mNext = get(state, n) == 0 ? i : Math.max(i, logF);
        double input = Math.min(Math.exp(i - mNext), 1);
        double forget = Math.min(Math.exp(logF - mNext), 1);
        double cNext = forget * get(state, c) + input * z;
        double nNext = forget * get(state, n) + input;
        set(state, c, (float) cNext);
        set(state, n, (float) nNext);
        set(state, m, (float) mNext);
        out = o * cNext / nNext;
      }
      Float clip = cell.clip();
      set(state, y, (float) (clip == null ? out : Math.clamp(out, -clip, clip)));
    }
  }
}
