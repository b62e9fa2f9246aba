package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// [MlstmKernel] as the recurrence, one position after the other, in double precision inside.
///
/// Saves the state before every position: `S * DHQK * DHV` doubles for a row and head.
public final class ScalarMlstmKernel implements MlstmKernel {
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE;

  private final KernelThreads threads;

  public ScalarMlstmKernel(KernelThreads threads) {
    this.threads = threads;
  }

  @Override
  public long savedBytes(MlstmShape shape) {
    return shape.pairs() * savedOfPair(shape) * Double.BYTES;
  }

  /// Doubles: the state at position t begins at t times the size of a state.
  private static long savedOfPair(MlstmShape shape) {
    return (shape.length() + 1L) * stateSize(shape);
  }

  private static int stateSize(MlstmShape shape) {
    return shape.qkDim() * (shape.vDim() + 1) + 1;
  }

  @Override
  public void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    inputs.check(shape);
    shape.check("h", h, shape.vDim());
    last.check("last", shape);
    if (initial != null) {
      initial.check("initial", shape);
    }
    if (saved != null) {
      SegmentFloats.expectBytes("saved", saved, savedBytes(shape));
    }
    threads.run(shape.pairs(), pair -> forward(shape, pair, inputs, initial, h, last, saved));
  }

  private static void forward(
      MlstmShape shape,
      int pair,
      MlstmInputs inputs,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    int row = pair / shape.heads();
    int head = pair % shape.heads();
    int qkDim = shape.qkDim();
    int vDim = shape.vDim();
    double scale = 1 / Math.sqrt(qkDim);
    var state = new State(qkDim, vDim);
    if (initial != null) {
      state.read(initial, pair);
    }
    for (int t = 0; t < shape.length(); t++) {
      if (inputs.isStart(shape, row, t)) {
        state.clear();
      }
      if (saved != null) {
        state.save(saved, pair * savedOfPair(shape) + (long) t * stateSize(shape));
      }
      if (!inputs.isToken(shape, row, t)) {
        for (int y = 0; y < vDim; y++) {
          shape.set(h, row, head, vDim, t, y, 0);
        }
        continue;
      }
      state.advance(shape, row, head, t, inputs);
      double denominator = 0;
      for (int x = 0; x < qkDim; x++) {
        denominator += scale * shape.get(inputs.q(), row, head, qkDim, t, x) * state.n[x];
      }
      double divisor = Math.max(Math.abs(denominator), Math.exp(-state.m)) + EPS;
      for (int y = 0; y < vDim; y++) {
        double numerator = 0;
        for (int x = 0; x < qkDim; x++) {
          numerator += scale * shape.get(inputs.q(), row, head, qkDim, t, x) * state.c[x][y];
        }
        shape.set(h, row, head, vDim, t, y, numerator / divisor);
      }
    }
    state.write(last, pair);
  }

  @Override
  public void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial) {
    inputs.check(shape);
    shape.check("h", h, shape.vDim());
    shape.check("gradient of h", dH, shape.vDim());
    gradients.check(shape);
    SegmentFloats.expectBytes("saved", saved, savedBytes(shape));
    if (dLast != null) {
      dLast.check("gradient of last", shape);
    }
    if (dInitial != null) {
      dInitial.check("gradient of initial", shape);
    }
    threads.run(
        shape.pairs(),
        pair -> backward(shape, pair, inputs, saved, dH, dLast, gradients, dInitial));
  }

  /// Back through the recurrence. `dc` and `dn` are the gradients of the state after position t.
  private static void backward(
      MlstmShape shape,
      int pair,
      MlstmInputs inputs,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      @Nullable MlstmStateGradient dInitial) {
    int row = pair / shape.heads();
    int head = pair % shape.heads();
    int qkDim = shape.qkDim();
    int vDim = shape.vDim();
    double scale = 1 / Math.sqrt(qkDim);
    var before = new State(qkDim, vDim);
    var after = new State(qkDim, vDim);
    double[][] dc = new double[qkDim][vDim];
    double[] dn = new double[qkDim];
    if (dLast != null) {
      readState(dLast.c(), dLast.n(), pair, dc, dn);
    }
    double[] dNumerator = new double[vDim];
    for (int t = shape.length() - 1; t >= 0; t--) {
      if (!inputs.isToken(shape, row, t)) {
        zero(shape, row, head, t, gradients);
        continue;
      }
      boolean start = inputs.isStart(shape, row, t);
      before.load(saved, pair * savedOfPair(shape) + (long) t * stateSize(shape));
      after.copy(before);
      after.advance(shape, row, head, t, inputs);
      double forget = after.forget;
      double input = after.input;

      double denominator = 0;
      for (int x = 0; x < qkDim; x++) {
        denominator += scale * shape.get(inputs.q(), row, head, qkDim, t, x) * after.n[x];
      }
      double floor = Math.exp(-after.m);
      double divisor = Math.max(Math.abs(denominator), floor) + EPS;
      double dDivisor = 0;
      for (int y = 0; y < vDim; y++) {
        double numerator = 0;
        for (int x = 0; x < qkDim; x++) {
          numerator += scale * shape.get(inputs.q(), row, head, qkDim, t, x) * after.c[x][y];
        }
        dNumerator[y] = shape.get(dH, row, head, vDim, t, y) / divisor;
        dDivisor -= dNumerator[y] * (numerator / divisor);
      }
      double dDenominator = Math.abs(denominator) > floor ? dDivisor * Math.signum(denominator) : 0;

      double dIgate = 0;
      double dLogF = 0;
      double[] dV = new double[vDim];
      for (int x = 0; x < qkDim; x++) {
        double q = scale * shape.get(inputs.q(), row, head, qkDim, t, x);
        double k = shape.get(inputs.k(), row, head, qkDim, t, x);
        double dq = dDenominator * after.n[x];
        dn[x] += q * dDenominator;
        double dk = dn[x];
        for (int y = 0; y < vDim; y++) {
          dq += dNumerator[y] * after.c[x][y];
          dc[x][y] += q * dNumerator[y];
          dk += dc[x][y] * shape.get(inputs.v(), row, head, vDim, t, y);
          dV[y] += input * k * dc[x][y];
          dLogF += forget * before.c[x][y] * dc[x][y];
          dc[x][y] = start ? 0 : dc[x][y] * forget;
        }
        dk *= input;
        dIgate += k * dk;
        dLogF += forget * before.n[x] * dn[x];
        dn[x] = start ? 0 : dn[x] * forget;
        shape.set(gradients.q(), row, head, qkDim, t, x, scale * dq);
        shape.set(gradients.k(), row, head, qkDim, t, x, dk);
      }
      for (int y = 0; y < vDim; y++) {
        shape.set(gradients.v(), row, head, vDim, t, y, dV[y]);
      }
      double fgate = shape.get(inputs.fgate(), row, head, 1, t, 0);
      shape.set(gradients.igate(), row, head, 1, t, 0, dIgate);
      shape.set(gradients.fgate(), row, head, 1, t, 0, dLogF / (1 + Math.exp(fgate)));
    }
    if (dInitial != null) {
      writeState(dInitial.c(), dInitial.n(), pair, dc, dn);
    }
  }

  private static void zero(MlstmShape shape, int row, int head, int t, MlstmGradients gradients) {
    for (int x = 0; x < shape.qkDim(); x++) {
      shape.set(gradients.q(), row, head, shape.qkDim(), t, x, 0);
      shape.set(gradients.k(), row, head, shape.qkDim(), t, x, 0);
    }
    for (int y = 0; y < shape.vDim(); y++) {
      shape.set(gradients.v(), row, head, shape.vDim(), t, y, 0);
    }
    shape.set(gradients.igate(), row, head, 1, t, 0, 0);
    shape.set(gradients.fgate(), row, head, 1, t, 0, 0);
  }

  private static void readState(
      MemorySegment fromC, MemorySegment fromN, int pair, double[][] c, double[] n) {
    for (int x = 0; x < n.length; x++) {
      long offset = (long) pair * n.length + x;
      n[x] = fromN.getAtIndex(FLOAT, offset);
      for (int y = 0; y < c[x].length; y++) {
        c[x][y] = fromC.getAtIndex(FLOAT, offset * c[x].length + y);
      }
    }
  }

  private static void writeState(
      MemorySegment toC, MemorySegment toN, int pair, double[][] c, double[] n) {
    for (int x = 0; x < n.length; x++) {
      long offset = (long) pair * n.length + x;
      toN.setAtIndex(FLOAT, offset, (float) n[x]);
      for (int y = 0; y < c[x].length; y++) {
        toC.setAtIndex(FLOAT, offset * c[x].length + y, (float) c[x][y]);
      }
    }
  }

  /// The state of one row and head, and the gates that led to it.
  private static final class State {
    final double[][] c; // (DHQK, DHV)
    final double[] n; // (DHQK)
    double m;
    double forget;
    double input;

    State(int qkDim, int vDim) {
      c = new double[qkDim][vDim];
      n = new double[qkDim];
    }

    void advance(MlstmShape shape, int row, int head, int t, MlstmInputs inputs) {
      double igate = shape.get(inputs.igate(), row, head, 1, t, 0);
      double fgate = shape.get(inputs.fgate(), row, head, 1, t, 0);
      double logF = Math.min(fgate, 0) - Math.log1p(Math.exp(-Math.abs(fgate))) + m;
      m = Math.max(logF, igate); // eq. 15
      input = Math.exp(igate - m); // eq. 16
      forget = Math.exp(logF - m); // eq. 17
      for (int x = 0; x < n.length; x++) {
        double ik = input * shape.get(inputs.k(), row, head, n.length, t, x);
        n[x] = forget * n[x] + ik; // eq. 20
        for (int y = 0; y < c[x].length; y++) {
          double v = shape.get(inputs.v(), row, head, c[x].length, t, y);
          c[x][y] = forget * c[x][y] + ik * v; // eq. 19
        }
      }
    }

    void clear() {
      for (int x = 0; x < n.length; x++) {
        n[x] = 0;
        Arrays.fill(c[x], 0);
      }
      m = 0;
    }

    void copy(State from) {
      for (int x = 0; x < n.length; x++) {
        n[x] = from.n[x];
        System.arraycopy(from.c[x], 0, c[x], 0, c[x].length);
      }
      m = from.m;
    }

    void read(MlstmState from, int pair) {
      readState(from.c(), from.n(), pair, c, n);
      m = from.m().getAtIndex(FLOAT, pair);
    }

    void write(MlstmState to, int pair) {
      writeState(to.c(), to.n(), pair, c, n);
      to.m().setAtIndex(FLOAT, pair, (float) m);
    }

    void save(MemorySegment to, long offset) {
      to.setAtIndex(DOUBLE, offset, m);
      for (int x = 0; x < n.length; x++) {
        long start = offset + 1 + (long) x * (c[x].length + 1);
        to.setAtIndex(DOUBLE, start, n[x]);
        for (int y = 0; y < c[x].length; y++) {
          to.setAtIndex(DOUBLE, start + 1 + y, c[x][y]);
        }
      }
    }

    void load(MemorySegment from, long offset) {
      m = from.getAtIndex(DOUBLE, offset);
      for (int x = 0; x < n.length; x++) {
        long start = offset + 1 + (long) x * (c[x].length + 1);
        n[x] = from.getAtIndex(DOUBLE, start);
        for (int y = 0; y < c[x].length; y++) {
          c[x][y] = from.getAtIndex(DOUBLE, start + 1 + y);
        }
      }
    }
  }
}
