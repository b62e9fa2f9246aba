package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorSlstmKernel.L;
import static io.xlstm4j.kernels.VectorSlstmKernel.SAVED;
import static io.xlstm4j.kernels.VectorSlstmKernel.at;

import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// All steps of a few rows and one head.
///
/// Of the gates i and f one is always 1, the one that set m. So six vectors tell backward all: the
/// other gate, with a minus sign where the forget gate set m (also before a zero), then z, o, c, n
/// and the slope of log-sigmoid at the forget gate.
final class SlstmForwardTask {
  private final Size size;
  private final Inputs inputs;
  private final float[] panels; // (J, DHin, 4, L)
  private final int head;
  private final int first;
  private final int rows;
  private final @Nullable MemorySegment saved;
  private final int groups; // J
  private final int padded; // J L

  private final float[] bias; // (J, 4, L)
  private final float[] gates; // (rows, J, 4, L)
  private final float[] slope; // (rows, J, L), as the state
  private final float[] y;
  private final float[] c;
  private final float[] n;
  private final float[] m;
  private final boolean[] token; // (rows)

  SlstmForwardTask(
      Size size,
      Inputs inputs,
      float[] panels,
      int head,
      int first,
      int rows,
      @Nullable MemorySegment saved) {
    this.size = size;
    this.inputs = inputs;
    this.panels = panels;
    this.head = head;
    this.first = first;
    this.rows = rows;
    this.saved = saved;
    groups = VectorSlstmKernel.groups(size);
    padded = groups * L;
    bias = new float[4 * padded];
    gates = new float[rows * 4 * padded];
    slope = new float[rows * padded];
    y = new float[rows * padded];
    c = new float[rows * padded];
    n = new float[rows * padded];
    m = new float[rows * padded];
    token = new boolean[rows];
  }

  void run(MemorySegment outputs, State last) {
    readBias();
    readState();
    boolean masked = inputs.valid() != null || inputs.starts() != null;
    Arrays.fill(token, true);
    for (int step = 0; step < size.length(); step++) {
      if (masked) {
        applyMasks(step);
      }
      readGates(step);
      int kernel = size.headDim() * 4 * L;
      for (int group = 0; group < groups; group++) {
        SlstmProduct.add4(
            rows,
            size.headDim(),
            y,
            0,
            padded,
            1,
            panels,
            group * kernel,
            gates,
            group * 4 * L,
            4 * padded);
      }
      forgetGate();
      cellInputAndOutputGate();
      for (int row = 0; row < rows; row++) {
        if (token[row]) {
          advance(row, step, outputs);
        } else {
          SegmentFloats.zero(outputs, size.output(first + row, step, head), size.headDim());
        }
      }
    }
    writeState(last);
  }

  private void readBias() {
    int width = size.headDim();
    for (int gate = 0; gate < 4; gate++) {
      for (int u = 0; u < width; u += L) {
        SegmentFloats.load(inputs.b(), size.bias(head, gate) + u, width - u)
            .intoArray(bias, (u / L * 4 + gate) * L);
      }
    }
  }

  private void readState() {
    State initial = inputs.initial();
    int width = size.headDim();
    for (int row = 0; row < rows; row++) {
      long from = size.state(first + row, head);
      SegmentFloats.copy(initial.y(), from, y, row * padded, width);
      SegmentFloats.copy(initial.c(), from, c, row * padded, width);
      SegmentFloats.copy(initial.n(), from, n, row * padded, width);
      SegmentFloats.copy(initial.m(), from, m, row * padded, width);
    }
  }

  private void writeState(State last) {
    int width = size.headDim();
    for (int row = 0; row < rows; row++) {
      long to = size.state(first + row, head);
      SegmentFloats.copy(y, row * padded, last.y(), to, width);
      SegmentFloats.copy(c, row * padded, last.c(), to, width);
      SegmentFloats.copy(n, row * padded, last.n(), to, width);
      SegmentFloats.copy(m, row * padded, last.m(), to, width);
    }
  }

  private void applyMasks(int step) {
    for (int row = 0; row < rows; row++) {
      token[row] = inputs.isToken(size, first + row, step);
      if (inputs.isStart(size, first + row, step)) {
        Arrays.fill(y, row * padded, (row + 1) * padded, 0);
        Arrays.fill(c, row * padded, (row + 1) * padded, 0);
        Arrays.fill(n, row * padded, (row + 1) * padded, 0);
        Arrays.fill(m, row * padded, (row + 1) * padded, 0);
      }
    }
  }

  /// gates = wx + b
  private void readGates(int step) {
    int width = size.headDim();
    MemorySegment wx = inputs.wx();
    for (int row = 0; row < rows; row++) {
      for (int gate = 0; gate < 4; gate++) {
        long from = size.gate(first + row, step, gate, head);
        for (int u = 0; u < width; u += L) {
          int to = (u / L * 4 + gate) * L;
          SegmentFloats.load(wx, from + u, width - u)
              .add(at(bias, to))
              .intoArray(gates, row * 4 * padded + to);
        }
      }
    }
  }

  /// f ← log sigmoid(f), and its slope sigmoid(-f).
  private void forgetGate() {
    for (int group = 0; group < rows * groups; group++) {
      int at = (group * 4 + 1) * L;
      FloatVector f = at(gates, at);
      FloatVector e = VectorMath.expOfNegative(f.abs().neg());
      VectorMask<Float> negative = f.compare(VectorOperators.LT, 0f);
      FloatVector below = f.blend(0f, negative.not()); // min(f, 0)
      below.sub(VectorMath.log1pOfUnit(e)).intoArray(gates, at);
      e.blend(1f, negative).div(e.add(1f)).intoArray(slope, group * L);
    }
  }

  /// z ← tanh(z), o ← sigmoid(o).
  private void cellInputAndOutputGate() {
    for (int group = 0; group < rows * groups; group++) {
      int at = (group * 4 + 2) * L;
      VectorMath.tanh(at(gates, at)).intoArray(gates, at);
      VectorMath.sigmoid(at(gates, at + L)).intoArray(gates, at + L);
    }
  }

  /// Eq. 8 to 10 and 15 to 17 for one row.
  private void advance(int row, int step, MemorySegment outputs) {
    int width = size.headDim();
    long out = size.output(first + row, step, head);
    long keep = VectorSlstmKernel.saved(size, first + row, head, step);
    for (int u = 0; u < width; u += L) {
      int at = row * padded + u;
      FloatVector iPre = at(gates, 4 * at);
      FloatVector logF = at(gates, 4 * at + L).add(at(m, at));
      FloatVector z = at(gates, 4 * at + 2 * L);
      FloatVector o = at(gates, 4 * at + 3 * L);
      FloatVector nBefore = at(n, at);

      FloatVector ahead = iPre.sub(logF);
      FloatVector other = VectorMath.expOfNegative(ahead.abs().neg());
      VectorMask<Float> forgetLarger = ahead.compare(VectorOperators.LT, 0f);
      VectorMask<Float> forgetSetsM = forgetLarger.and(nBefore.compare(VectorOperators.NE, 0f));
      iPre.blend(logF, forgetSetsM).intoArray(m, at);
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      FloatVector i = one.blend(other, forgetSetsM);
      FloatVector f = other.blend(1f, forgetLarger);
      FloatVector cNow = f.mul(at(c, at)).add(i.mul(z));
      FloatVector nNow = f.mul(nBefore).add(i);
      FloatVector yNow = o.mul(cNow.div(nNow));
      cNow.intoArray(c, at);
      nNow.intoArray(n, at);
      yNow.intoArray(y, at);
      SegmentFloats.store(yNow, outputs, out + u, width - u);
      if (saved != null) {
        FloatVector signed = f.blend(i.neg(), forgetSetsM);
        long to = keep + (long) u * SAVED;
        store(signed, to);
        store(z, to + L);
        store(o, to + 2L * L);
        store(cNow, to + 3L * L);
        store(nNow, to + 4L * L);
        store(at(slope, at), to + 5L * L);
      }
    }
  }

  private void store(FloatVector value, long index) {
    if (saved != null) {
      SegmentFloats.store(value, saved, index, L);
    }
  }
}
