package io.xlstm4j.kernels.vector.slstm;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.C;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.L;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.N;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.O;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.SAVED;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.SLOPE;
import static io.xlstm4j.kernels.vector.slstm.VectorSlstmKernel.Z;

import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.SlstmKernel.Gradients;
import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import io.xlstm4j.kernels.SlstmKernel.StateGradients;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// All steps of a few rows and one head, backwards; the equations are those of `ScalarSlstmKernel`.
final class SlstmBackwardTask {
  private final Size size;
  private final Inputs inputs;
  private final float[] panels; // (pairs, J, 4, L, 2 L)
  private final int head;
  private final int first;
  private final int rows;
  private final int padded; // J L
  private final int wide; // inputs, padded to pairs of vectors

  private final float[] gates; // (rows, J, 4, L), gradients
  private final float[] dy; // (rows, wide), through the recurrence
  private final float[] dc; // (rows, J L), as all below
  private final float[] dn;
  private final float[] dm; // what reaches the maximum that is m
  private final float[] c; // the initial state's
  private final float[] n;
  private final float[] cBefore; // those of the step before
  private final float[] nBefore;
  private final float[] kept; // (rows, J, 6, L), from saved
  private final float[] line; // (J, L), zeros behind the last unit
  private final float[] gateLine; // (J, L)
  private final int[][] before; // (rows, S)

  SlstmBackwardTask(Size size, Inputs inputs, float[] panels, int head, int first, int rows) {
    this.size = size;
    this.inputs = inputs;
    this.panels = panels;
    this.head = head;
    this.first = first;
    this.rows = rows;
    padded = VectorSlstmKernel.groups(size) * L;
    wide = Math.ceilDiv(size.headDim(), 2 * L) * 2 * L;
    gates = new float[rows * 4 * padded];
    dy = new float[rows * wide];
    dc = new float[rows * padded];
    dn = new float[rows * padded];
    dm = new float[rows * padded];
    c = new float[rows * padded];
    n = new float[rows * padded];
    cBefore = new float[rows * padded];
    nBefore = new float[rows * padded];
    kept = new float[rows * SAVED * padded];
    line = new float[padded];
    gateLine = new float[padded];
    before = new int[rows][];
    for (int row = 0; row < rows; row++) {
      before[row] = inputs.predecessors(size, first + row);
    }
  }

  void run(MemorySegment saved, MemorySegment outputGradient, StateGradients last, Gradients to) {
    int end = size.length() - 1;
    for (int row = 0; row < rows; row++) {
      readState(row, last);
      int lastToken = inputs.isToken(size, first + row, end) ? end : before[row][end];
      addStabilizer(row, lastToken, saved);
    }
    for (int step = end; step >= 0; step--) {
      for (int row = 0; row < rows; row++) {
        if (inputs.isToken(size, first + row, step)) {
          readStep(row, step, saved, outputGradient);
          throughOutput(row);
          throughGates(row);
          writeGates(row, step, to.wx());
          Arrays.fill(dy, row * wide, (row + 1) * wide, 0);
        } else { // the gradient passes by
          Arrays.fill(gates, row * 4 * padded, (row + 1) * 4 * padded, 0);
          for (int gate = 0; gate < 4; gate++) {
            long offset = size.gate(first + row, step, gate, head);
            SegmentFloats.zero(to.wx(), offset, size.headDim());
          }
        }
      }
      int kernel = 4 * padded * 2 * L;
      for (int in = 0; in < wide; in += 2 * L) { // dy += Rᵀ gates
        SlstmProduct.add2(
            rows, 4 * padded, gates, 4 * padded, panels, in / (2 * L) * kernel, dy, in, wide);
      }
      if (inputs.starts() != null) {
        clearAtStarts(step);
      }
    }
    writeState(to.initial());
  }

  private void readState(int row, StateGradients last) {
    int width = size.headDim();
    long from = size.state(first + row, head);
    read(last.y(), from, dy, row * wide, width);
    read(last.c(), from, dc, row * padded, width);
    read(last.n(), from, dn, row * padded, width);
    read(last.m(), from, dm, row * padded, width);
    read(inputs.initial().c(), from, c, row * padded, width);
    read(inputs.initial().n(), from, n, row * padded, width);
  }

  private static void read(
      @Nullable MemorySegment from, long index, float[] to, int start, int count) {
    if (from != null) {
      SegmentFloats.copy(from, index, to, start, count);
    }
  }

  /// dm ← dm - c dc - n dn at the last token.
  private void addStabilizer(int row, int lastToken, MemorySegment saved) {
    readCell(row, lastToken, saved);
    for (int offset = row * padded; offset < (row + 1) * padded; offset += L) {
      FloatVector scaled =
          at(cBefore, offset).mul(at(dc, offset)).add(at(nBefore, offset).mul(at(dn, offset)));
      at(dm, offset).sub(scaled).intoArray(dm, offset);
    }
  }

  /// c and n after `step` to cBefore and nBefore.
  private void readCell(int row, int step, MemorySegment saved) {
    int start = row * padded;
    if (step == SlstmKernel.INITIAL) {
      System.arraycopy(c, start, cBefore, start, padded);
      System.arraycopy(n, start, nBefore, start, padded);
    } else if (step == SlstmKernel.FRESH) {
      Arrays.fill(cBefore, start, start + padded, 0);
      Arrays.fill(nBefore, start, start + padded, 0);
    } else {
      long from = VectorSlstmKernel.saved(size, first + row, head, step);
      for (int u = 0; u < padded; u += L) {
        long offset = from + (long) u * SAVED;
        SegmentVectors.load(saved, offset + (long) C * L).intoArray(cBefore, start + u);
        SegmentVectors.load(saved, offset + (long) N * L).intoArray(nBefore, start + u);
      }
    }
  }

  private void readStep(int row, int step, MemorySegment saved, MemorySegment outputGradient) {
    readCell(row, before[row][step], saved);
    long from = VectorSlstmKernel.saved(size, first + row, head, step);
    SegmentVectors.read(saved, from, kept, row * SAVED * padded, SAVED * padded);
    int width = size.headDim();
    long out = size.output(first + row, step, head);
    SegmentVectors.read(outputGradient, out, line, 0, width);
    for (int u = 0; u < width; u += L) {
      int offset = row * wide + u;
      at(line, u).add(at(dy, offset)).intoArray(dy, offset);
    }
  }

  /// From y = o c / n to o, c and n.
  private void throughOutput(int row) {
    for (int u = 0; u < padded; u += L) {
      int offset = row * padded + u;
      FloatVector o = at(kept, offset * SAVED + O * L);
      FloatVector n = at(kept, offset * SAVED + N * L);
      FloatVector ratio = at(kept, offset * SAVED + C * L).div(n);
      FloatVector scaled = at(dy, row * wide + u).mul(o);
      FloatVector onC = scaled.div(n);
      at(dc, offset).add(onC).intoArray(dc, offset);
      at(dn, offset).sub(onC.mul(ratio)).intoArray(dn, offset);
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      one.sub(o).mul(ratio).mul(scaled).intoArray(gates, 4 * offset + 3 * L);
    }
  }

  /// From c, n and m to the gates i, f, z and to the step before.
  private void throughGates(int row) {
    for (int offset = row * padded; offset < (row + 1) * padded; offset += L) {
      FloatVector signed = at(kept, offset * SAVED);
      FloatVector z = at(kept, offset * SAVED + Z * L);
      FloatVector onC = at(dc, offset);
      FloatVector onN = at(dn, offset);
      FloatVector onM = at(dm, offset);
      VectorMask<Float> forgetSetM =
          signed.reinterpretAsInts().compare(VectorOperators.LT, 0).cast(VectorMath.LANES);
      FloatVector other = signed.abs();
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      FloatVector zero = FloatVector.zero(VectorMath.LANES);
      FloatVector i = one.blend(other, forgetSetM);
      FloatVector f = other.blend(one, forgetSetM);
      FloatVector viaForget = zero.blend(onM, forgetSetM);
      FloatVector viaInput = onM.blend(zero, forgetSetM);
      FloatVector onF = at(cBefore, offset).mul(onC).add(at(nBefore, offset).mul(onN)).mul(f);
      i.mul(z.mul(onC).add(onN)).add(viaInput).intoArray(gates, 4 * offset);
      onF.add(viaForget).mul(at(kept, offset * SAVED + SLOPE * L)).intoArray(gates, 4 * offset + L);
      i.mul(onC).mul(one.sub(z.mul(z))).intoArray(gates, 4 * offset + 2 * L);
      f.mul(onC).intoArray(dc, offset);
      f.mul(onN).intoArray(dn, offset);
      viaForget.intoArray(dm, offset);
    }
  }

  private void writeGates(int row, int step, MemorySegment dWx) {
    int width = size.headDim();
    for (int gate = 0; gate < 4; gate++) {
      long to = size.gate(first + row, step, gate, head);
      for (int u = 0; u < width; u += L) {
        at(gates, row * 4 * padded + 4 * u + gate * L).intoArray(gateLine, u);
      }
      SegmentVectors.write(gateLine, 0, dWx, to, width);
    }
  }

  private void clearAtStarts(int step) {
    for (int row = 0; row < rows; row++) {
      if (inputs.isStart(size, first + row, step)) {
        Arrays.fill(dy, row * wide, (row + 1) * wide, 0);
        Arrays.fill(dc, row * padded, (row + 1) * padded, 0);
        Arrays.fill(dn, row * padded, (row + 1) * padded, 0);
        Arrays.fill(dm, row * padded, (row + 1) * padded, 0);
      }
    }
  }

  private void writeState(State to) {
    for (int offset = 0;
        offset < rows * padded;
        offset += L) { // dm of the state, not of its maximum
      at(dm, offset)
          .add(at(c, offset).mul(at(dc, offset)))
          .add(at(n, offset).mul(at(dn, offset)))
          .intoArray(dm, offset);
    }
    int width = size.headDim();
    for (int row = 0; row < rows; row++) {
      long index = size.state(first + row, head);
      SegmentFloats.copy(dy, row * wide, to.y(), index, width);
      SegmentFloats.copy(dc, row * padded, to.c(), index, width);
      SegmentFloats.copy(dn, row * padded, to.n(), index, width);
      SegmentFloats.copy(dm, row * padded, to.m(), index, width);
    }
  }
}
