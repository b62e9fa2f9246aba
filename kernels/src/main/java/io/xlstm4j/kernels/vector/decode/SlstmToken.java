package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.vector.math.VectorMath.LANES;
import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.util.List;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/// One token of one row through the sLSTM cell (docs/math.md 1.1), on arrays filled up to whole
/// vectors, whose loops are compiled one by one ([ArrayLoops]). Kept from token to token, by one
/// thread.
final class SlstmToken {
  private static final int WIDTH = LANES.length();

  private static final ArrayLoops<SlstmToken> EXPONENTIAL =
      new ArrayLoops<>(
          List.of(
              SlstmToken::decays,
              SlstmToken::logSigmoids,
              SlstmToken::activateCell,
              SlstmToken::activateOutput,
              SlstmToken::stabilize,
              SlstmToken::exponentials,
              SlstmToken::advance,
              SlstmToken::output));
  private static final ArrayLoops<SlstmToken> PLAIN =
      new ArrayLoops<>(
          List.of(
              SlstmToken::sigmoids,
              SlstmToken::activateCell,
              SlstmToken::activateOutput,
              SlstmToken::advancePlain,
              SlstmToken::outputPlain));

  private int size; // units, up to whole vectors
  private float bound; // of y
  private float[] i = new float[0];
  private float[] f = i;
  private float[] z = i;
  private float[] o = i;
  private float[] y = i;
  private float[] c = i;
  private float[] n = i;
  private float[] m = i;

  void run(
      TokenKernels.Slstm cell,
      MemorySegment gates,
      long gatesOffset,
      MemorySegment state,
      long stateOffset) {
    int units = cell.units();
    fit(units);
    @Nullable Float clip = cell.clip();
    bound = clip == null ? Float.POSITIVE_INFINITY : clip;
    SegmentVectors.read(gates, gatesOffset, i, 0, units);
    SegmentVectors.read(gates, gatesOffset + units, f, 0, units);
    SegmentVectors.read(gates, gatesOffset + 2L * units, z, 0, units);
    SegmentVectors.read(gates, gatesOffset + 3L * units, o, 0, units);
    SegmentVectors.read(state, stateOffset + units, c, 0, units);
    SegmentVectors.read(state, stateOffset + 2L * units, n, 0, units);
    SegmentVectors.read(state, stateOffset + 3L * units, m, 0, units);
    (cell.plain() ? PLAIN : EXPONENTIAL).run(this);
    SegmentVectors.write(y, 0, state, stateOffset, units);
    SegmentVectors.write(c, 0, state, stateOffset + units, units);
    SegmentVectors.write(n, 0, state, stateOffset + 2L * units, units);
    SegmentVectors.write(m, 0, state, stateOffset + 3L * units, units);
  }

  private void fit(int units) {
    size = PreJitMath.padded(units);
    if (i.length < size) {
      i = new float[size];
      f = new float[size];
      z = new float[size];
      o = new float[size];
      y = new float[size];
      c = new float[size];
      n = new float[size];
      m = new float[size];
    }
  }

  /// `exp(-|f|)` goes where y will be.
  private void decays() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.expOfNegative(at(f, u).abs().neg()).intoArray(y, u);
    }
  }

  private void logSigmoids() {
    for (int u = 0; u < size; u += WIDTH) {
      at(f, u).min(0f).sub(VectorMath.log1pOfUnit(at(y, u))).intoArray(f, u);
    }
  }

  private void activateCell() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.tanh(at(z, u)).intoArray(z, u);
    }
  }

  private void activateOutput() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.sigmoid(at(o, u)).intoArray(o, u);
    }
  }

  /// The new m; i and f become the exponents of the two gates.
  private void stabilize() {
    for (int u = 0; u < size; u += WIDTH) {
      var input = at(i, u);
      var logF = at(f, u).add(at(m, u));
      var fresh = at(n, u).compare(VectorOperators.EQ, 0f);
      var next = input.max(logF).blend(input, fresh);
      next.intoArray(m, u);
      input.sub(next).intoArray(i, u);
      logF.sub(next).min(0f).intoArray(f, u);
    }
  }

  private void exponentials() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.expOfNegative(at(i, u)).intoArray(i, u);
      VectorMath.expOfNegative(at(f, u)).intoArray(f, u);
    }
  }

  private void advance() {
    for (int u = 0; u < size; u += WIDTH) {
      var input = at(i, u);
      var forget = at(f, u);
      forget.fma(at(n, u), input).intoArray(n, u);
      forget.fma(at(c, u), input.mul(at(z, u))).intoArray(c, u);
    }
  }

  private void output() {
    for (int u = 0; u < size; u += WIDTH) {
      var h = at(c, u).div(at(n, u)).mul(at(o, u));
      h.min(bound).max(-bound).intoArray(y, u);
    }
  }

  private void sigmoids() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.sigmoid(at(i, u)).intoArray(i, u);
      VectorMath.sigmoid(at(f, u)).intoArray(f, u);
    }
  }

  private void advancePlain() {
    for (int u = 0; u < size; u += WIDTH) {
      at(f, u).fma(at(c, u), at(i, u).mul(at(z, u))).intoArray(c, u);
    }
  }

  private void outputPlain() {
    for (int u = 0; u < size; u += WIDTH) {
      VectorMath.tanh(at(c, u)).mul(at(o, u)).min(bound).max(-bound).intoArray(y, u);
    }
  }
}
