package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorSlstmKernel.L;
import static io.xlstm4j.kernels.VectorSlstmKernel.SAVED;
import static io.xlstm4j.kernels.VectorSlstmKernel.at;
import static io.xlstm4j.kernels.VectorSlstmKernel.ceilDiv;

import io.xlstm4j.kernels.SlstmKernel.Gradients;
import io.xlstm4j.kernels.SlstmKernel.Inputs;
import io.xlstm4j.kernels.SlstmKernel.Size;
import io.xlstm4j.kernels.SlstmKernel.State;
import io.xlstm4j.kernels.SlstmKernel.StateGradients;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// All steps of a few rows and one head, backwards; the equations are those of [ScalarSlstmKernel].
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
  private final int[][] before; // (rows, S)

  SlstmBackwardTask(Size size, Inputs inputs, float[] panels, int head, int first, int rows) {
    this.size = size;
    this.inputs = inputs;
    this.panels = panels;
    this.head = head;
    this.first = first;
    this.rows = rows;
    padded = VectorSlstmKernel.groups(size) * L;
    wide = ceilDiv(size.headDim(), 2 * L) * 2 * L;
    gates = new float[rows * 4 * padded];
    dy = new float[rows * wide];
    dc = new float[rows * padded];
    dn = new float[rows * padded];
    dm = new float[rows * padded];
    c = new float[rows * padded];
    n = new float[rows * padded];
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
          retreat(row, step, saved, outputGradient, to.wx());
          Arrays.fill(dy, row * wide, (row + 1) * wide, 0);
        } else { // the gradient passes by
          Arrays.fill(gates, row * 4 * padded, (row + 1) * 4 * padded, 0);
          for (int gate = 0; gate < 4; gate++) {
            long at = size.gate(first + row, step, gate, head);
            SegmentFloats.zero(to.wx(), at, size.headDim());
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
    for (int at = row * padded; at < (row + 1) * padded; at += L) {
      long from = cell(row, lastToken, at);
      FloatVector cLast = cell(saved, lastToken, from, c, at);
      FloatVector nLast = cell(saved, lastToken, from + L, n, at);
      at(dm, at).sub(cLast.mul(at(dc, at)).add(nLast.mul(at(dn, at)))).intoArray(dm, at);
    }
  }

  private void retreat(
      int row, int step, MemorySegment saved, MemorySegment outputGradient, MemorySegment dWx) {
    int width = size.headDim();
    int stepBefore = before[row][step];
    long out = size.output(first + row, step, head);
    long kept = VectorSlstmKernel.saved(size, first + row, head, step);
    for (int u = 0; u < width; u += L) {
      int at = row * padded + u;
      long from = kept + (long) u * SAVED;
      FloatVector signed = SegmentFloats.load(saved, from, L);
      FloatVector z = SegmentFloats.load(saved, from + L, L);
      FloatVector o = SegmentFloats.load(saved, from + 2L * L, L);
      FloatVector n = SegmentFloats.load(saved, from + 4L * L, L);
      FloatVector ratio = SegmentFloats.load(saved, from + 3L * L, L).div(n); // c / n
      FloatVector dyAll =
          SegmentFloats.load(outputGradient, out + u, width - u).add(at(dy, row * wide + u));
      FloatVector onC = dyAll.mul(o).div(n);
      FloatVector dcNow = at(dc, at).add(onC);
      FloatVector dnNow = at(dn, at).sub(onC.mul(ratio));

      VectorMask<Float> forgetSetM =
          signed.reinterpretAsInts().compare(VectorOperators.LT, 0).cast(VectorMath.LANES);
      FloatVector other = signed.abs();
      FloatVector one = FloatVector.broadcast(VectorMath.LANES, 1f);
      FloatVector i = one.blend(other, forgetSetM);
      FloatVector f = other.blend(one, forgetSetM);
      FloatVector dmNow = at(dm, at);
      FloatVector dmPassed = dmNow.blend(0f, forgetSetM.not());
      dmPassed.intoArray(dm, at);

      long cellBefore = cell(row, stepBefore, at);
      FloatVector cBefore = cell(saved, stepBefore, cellBefore, c, at);
      FloatVector nBefore = cell(saved, stepBefore, cellBefore + L, this.n, at);
      FloatVector slope = SegmentFloats.load(saved, from + 5L * L, L);
      FloatVector onF = f.mul(cBefore.mul(dcNow).add(nBefore.mul(dnNow))).add(dmPassed);
      FloatVector onI = i.mul(z.mul(dcNow).add(dnNow)).add(dmNow.sub(dmPassed));
      onI.intoArray(gates, 4 * at);
      onF.mul(slope).intoArray(gates, 4 * at + L);
      i.mul(dcNow).mul(one.sub(z.mul(z))).intoArray(gates, 4 * at + 2 * L);
      one.sub(o).mul(o).mul(ratio).mul(dyAll).intoArray(gates, 4 * at + 3 * L);
      f.mul(dcNow).intoArray(dc, at);
      f.mul(dnNow).intoArray(dn, at);
    }
    for (int gate = 0; gate < 4; gate++) {
      long to = size.gate(first + row, step, gate, head);
      for (int u = 0; u < width; u += L) {
        int at = row * 4 * padded + 4 * u + gate * L;
        SegmentFloats.store(at(gates, at), dWx, to + u, width - u);
      }
    }
  }

  /// Where c of the units at `at` stands in the saved activations; n follows.
  private long cell(int row, int step, int at) {
    return VectorSlstmKernel.saved(size, first + row, head, step)
        + (long) (at - row * padded) * SAVED
        + 3L * L;
  }

  private static FloatVector cell(
      MemorySegment saved, int step, long index, float[] initial, int at) {
    return switch (step) {
      case SlstmKernel.INITIAL -> at(initial, at);
      case SlstmKernel.FRESH -> FloatVector.zero(VectorMath.LANES);
      default -> SegmentFloats.load(saved, index, L);
    };
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
    for (int at = 0; at < rows * padded; at += L) { // dm of the state, not of its maximum
      at(dm, at).add(at(c, at).mul(at(dc, at))).add(at(n, at).mul(at(dn, at))).intoArray(dm, at);
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
