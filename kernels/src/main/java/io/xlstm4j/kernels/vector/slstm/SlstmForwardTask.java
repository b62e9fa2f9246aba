package io.xlstm4j.kernels.vector.slstm;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.C;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.L;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.N;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.O;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.SAVED;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.SLOPE;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.Z;

import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// All steps of a few rows and one head.
///
/// Vectors stay in registers only if all they pass through is inlined, and the compiler's budget
/// for that is small: hence several passes over arrays that stay in the nearest cache, and memory
/// segments read and written apart from the mathematics.
///
/// Of the gates i and f one is always 1, the one that set m. So six vectors tell backward all: the
/// other gate, with a minus sign where the forget gate set m (also before a zero), then z, o, c, n
/// and the slope of log-sigmoid at the forget gate.
final class SlstmForwardTask {
  /// Floats of input read ahead, so that many cache misses run at once; a part of the nearest
  /// cache.
  private static final int CHUNK = 4096;

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
  private final float[] line; // (J, L), zeros behind the last unit
  private final int chunk; // steps whose gates are read at a time
  private final float[] gates; // (chunk, rows, J, 4, L)
  private final float[] kept; // (rows, J, 6, L), what goes to saved
  private final float[] y; // (rows, J, L), as all below
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
    line = new float[padded];
    chunk = Math.clamp(CHUNK / (rows * 4 * padded), 1, size.length());
    gates = new float[chunk * rows * 4 * padded];
    kept = new float[rows * SAVED * padded];
    y = new float[rows * padded];
    c = new float[rows * padded];
    n = new float[rows * padded];
    m = new float[rows * padded];
    token = new boolean[rows];
  }

  void run(MemorySegment outputs, State last) {
    readBias();
    readState();
    Arrays.fill(token, true);
    boolean masked = inputs.valid() != null || inputs.starts() != null;
    int width = rows * 4 * padded;
    for (int from = 0; from < size.length(); from += chunk) {
      int to = Math.min(from + chunk, size.length());
      for (int step = from; step < to; step++) {
        readGates(step, (step - from) * width);
      }
      for (int step = from; step < to; step++) {
        if (masked) {
          applyMasks(step);
        }
        advance((step - from) * width);
        write(step, outputs);
      }
    }
    writeState(last);
  }

  private void advance(int start) {
    int kernel = size.headDim() * 4 * L;
    for (int group = 0; group < groups; group++) { // gates += R y
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
          start + group * 4 * L,
          4 * padded);
    }
    forgetDecay(start);
    forgetGate(start);
    cellInput(start);
    outputGate(start);
    for (int row = 0; row < rows; row++) {
      if (token[row]) {
        int first = row * groups;
        inputGateAndStabilizer(start, first, first + groups);
        cell(start, first, first + groups);
      }
    }
  }

  private void readBias() {
    int width = size.headDim();
    for (int gate = 0; gate < 4; gate++) {
      for (int u = 0; u < width; u += L) {
        SegmentVectors.load(inputs.b(), size.bias(head, gate) + u, width - u)
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
  private void readGates(int step, int start) {
    int width = size.headDim();
    MemorySegment wx = inputs.wx();
    for (int row = 0; row < rows; row++) {
      for (int gate = 0; gate < 4; gate++) {
        long from = size.gate(first + row, step, gate, head);
        SegmentVectors.read(wx, from, line, 0, width);
        for (int u = 0; u < width; u += L) {
          int to = (u / L * 4 + gate) * L;
          at(line, u).add(at(bias, to)).intoArray(gates, start + row * 4 * padded + to);
        }
      }
    }
  }

  /// exp(-|f|), which [#forgetGate] needs twice.
  private void forgetDecay(int start) {
    for (int group = 0; group < rows * groups; group++) {
      FloatVector f = at(gates, start + (group * 4 + 1) * L);
      VectorMath.expOfNegative(f.abs().neg()).intoArray(kept, (group * SAVED + SLOPE) * L);
    }
  }

  /// f ← log sigmoid(f), and its slope sigmoid(-f).
  private void forgetGate(int start) {
    for (int group = 0; group < rows * groups; group++) {
      int offset = start + (group * 4 + 1) * L;
      int slope = (group * SAVED + SLOPE) * L;
      FloatVector f = at(gates, offset);
      FloatVector decay = at(kept, slope);
      VectorMask<Float> positive = f.compare(VectorOperators.GT, 0f);
      FloatVector below = f.blend(0f, positive); // min(f, 0)
      below.sub(VectorMath.log1pOfUnit(decay)).intoArray(gates, offset);
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      one.blend(decay, positive).div(decay.add(1f)).intoArray(kept, slope);
    }
  }

  private void cellInput(int start) {
    for (int group = 0; group < rows * groups; group++) {
      FloatVector z = at(gates, start + (group * 4 + 2) * L);
      VectorMath.tanh(z).intoArray(kept, (group * SAVED + Z) * L);
    }
  }

  private void outputGate(int start) {
    for (int group = 0; group < rows * groups; group++) {
      FloatVector o = at(gates, start + (group * 4 + 3) * L);
      VectorMath.sigmoid(o).intoArray(kept, (group * SAVED + O) * L);
    }
  }

  /// Eq. 15 to 17; i and f take the places of what they come from.
  private void inputGateAndStabilizer(int start, int from, int to) {
    for (int group = from; group < to; group++) {
      int offset = start + group * 4 * L;
      FloatVector iPre = at(gates, offset);
      FloatVector logF = at(gates, offset + L).add(at(m, group * L));
      FloatVector ahead = iPre.sub(logF);
      FloatVector other = VectorMath.expOfNegative(ahead.abs().neg());
      VectorMask<Float> forgetLarger = ahead.compare(VectorOperators.LT, 0f);
      VectorMask<Float> warm = at(n, group * L).compare(VectorOperators.NE, 0f);
      VectorMask<Float> forgetSetsM = forgetLarger.and(warm);
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      FloatVector i = one.blend(other, forgetSetsM);
      FloatVector f = other.blend(one, forgetLarger);
      iPre.blend(logF, forgetSetsM).intoArray(m, group * L);
      i.intoArray(gates, offset);
      f.intoArray(gates, offset + L);
      f.blend(i.neg(), forgetSetsM).intoArray(kept, group * SAVED * L);
    }
  }

  /// Eq. 8 to 10.
  private void cell(int start, int from, int to) {
    for (int group = from; group < to; group++) {
      int offset = start + group * 4 * L;
      int keep = group * SAVED * L;
      FloatVector i = at(gates, offset);
      FloatVector f = at(gates, offset + L);
      FloatVector z = at(kept, keep + Z * L);
      FloatVector o = at(kept, keep + O * L);
      FloatVector cNow = f.mul(at(c, group * L)).add(i.mul(z));
      FloatVector nNow = f.mul(at(n, group * L)).add(i);
      o.mul(cNow.div(nNow)).intoArray(y, group * L);
      cNow.intoArray(c, group * L);
      nNow.intoArray(n, group * L);
      cNow.intoArray(kept, keep + C * L);
      nNow.intoArray(kept, keep + N * L);
    }
  }

  private void write(int step, MemorySegment outputs) {
    int width = size.headDim();
    for (int row = 0; row < rows; row++) {
      long out = size.output(first + row, step, head);
      if (!token[row]) {
        SegmentFloats.zero(outputs, out, width);
        continue;
      }
      SegmentVectors.write(y, row * padded, outputs, out, width);
      if (saved != null) {
        long to = VectorSlstmKernel.saved(size, first + row, head, step);
        SegmentVectors.write(kept, row * SAVED * padded, saved, to, SAVED * padded);
      }
    }
  }
}
