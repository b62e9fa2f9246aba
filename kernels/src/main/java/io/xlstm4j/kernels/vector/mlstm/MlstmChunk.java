package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.GemmKernel.Block;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.vector.gemm.Transposition;
import io.xlstm4j.kernels.vector.gemm.VectorGemmKernel;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// One chunk of one row and head, and the state that enters it: the scratch of one task.
///
/// Rows are padded with zeros to whole vectors, so that no loop over columns has a tail. Matrices
/// over positions are lower triangular and are worked on in panels of rows, each only up to its
/// diagonal.
///
/// With E the decays between positions, u those of the entering state and w those up to the chunk's
/// end (`E[l, j]`, `u_l`, `w_j`, each with its stabilizer):
///
/// ```
/// H numerator   = (Q Kᵀ * E) V + u Q C         C' = u_L C + (w K)ᵀ V
/// H denominator = (Q Kᵀ * E) 1 + u Q n         n' = u_L n + (w K)ᵀ 1
/// ```
final class MlstmChunk {
  private static final VectorSpecies<Float> LANES = MlstmMath.LANES;
  private static final int WIDTH = LANES.length();
  private static final int PANEL = 16; // rows; a multiple of the lanes of every machine

  private final int qkDim;
  private final int vDim;
  private final int across; // capacity in whole panels
  private final int qkWide; // qkDim in whole vectors
  private final int vWide;
  private final VectorGemmKernel product = new VectorGemmKernel();
  private final Transposition transposition = new Transposition();

  private int count; // positions now
  private boolean tokens; // at least one

  // (capacity, wide) each; q is scaled
  private final float[] q;
  private final float[] k;
  private final float[] v;
  private final float[] uq; // u_l q_l
  private final float[] wk; // w_j k_j
  private final float[] kT; // (qkDim, across)
  private final float[] scores; // (capacity, across): Q Kᵀ * E
  private final float[] numerator; // (capacity, vWide)

  // (across) each
  private final float[] igate;
  private final float[] fgate;
  private final float[] logF;
  private final float[] m;
  private final float[] floor; // exp(-m)
  private final float[] u;
  private final float[] w;
  private final float[] denominator;
  private final float[] inverse; // of the divisor
  private final float[] logD; // one row of log decays
  private final boolean[] start;
  private final boolean[] token;

  // state before the chunk, then after
  private final float[] c; // (qkDim, vWide)
  private final float[] n; // (qkWide)
  private float stabilizer;

  // backward only
  private final float[] dScores; // (capacity, across): P
  private final float[] vT; // (vDim, across)
  private final float[] dNumerator; // (capacity, vWide)
  private final float[] dDenominator; // (across)
  private final float[] dq; // (capacity, qkWide)
  private final float[] dk;
  private final float[] dv; // (capacity, vWide)
  private final float[] dLogF; // (across)
  private final float[] dFgate;
  private final float[] qdq; // (across): q_l · dq_l
  private final float[] kdk;
  private final float[] kdkLater; // (across): the part of kdk through the state after the chunk
  private final float[] dc; // (qkDim, vWide): gradient of the state after the chunk, then before
  private final float[] dn; // (qkWide)
  private final float[] turned; // (vDim, qkWide): cᵀ, then dcᵀ

  MlstmChunk(int qkDim, int vDim, int capacity) {
    this.qkDim = qkDim;
    this.vDim = vDim;
    across = whole(capacity, PANEL);
    qkWide = MlstmMath.wholeVectors(qkDim);
    vWide = MlstmMath.wholeVectors(vDim);
    q = new float[capacity * qkWide];
    k = new float[capacity * qkWide];
    v = new float[capacity * vWide];
    uq = new float[capacity * qkWide];
    wk = new float[capacity * qkWide];
    kT = new float[qkDim * across];
    scores = new float[capacity * across];
    numerator = new float[capacity * vWide];
    igate = new float[across];
    fgate = new float[across];
    logF = new float[across];
    m = new float[across];
    floor = new float[across];
    u = new float[across];
    w = new float[across];
    denominator = new float[across];
    inverse = new float[across];
    logD = new float[across];
    start = new boolean[across];
    token = new boolean[across];
    c = new float[qkDim * vWide];
    n = new float[qkWide];
    dScores = new float[capacity * across];
    vT = new float[vDim * across];
    dNumerator = new float[capacity * vWide];
    dDenominator = new float[across];
    dq = new float[capacity * qkWide];
    dk = new float[capacity * qkWide];
    dv = new float[capacity * vWide];
    dLogF = new float[across];
    dFgate = new float[across];
    qdq = new float[across];
    kdk = new float[across];
    kdkLater = new float[across];
    dc = new float[qkDim * vWide];
    dn = new float[qkWide];
    turned = new float[vDim * qkWide];
  }

  boolean fits(MlstmShape shape) {
    return qkDim == shape.qkDim() && vDim == shape.vDim();
  }

  private static int whole(int size, int unit) {
    return (size + unit - 1) / unit * unit;
  }

  // ---- the state -------------------------------------------------------------------------------

  void clearState() {
    Arrays.fill(c, 0);
    Arrays.fill(n, 0);
    stabilizer = 0;
  }

  void readState(MlstmState from, int pair) {
    MlstmGather.load(from.c(), (long) pair * qkDim * vDim, vDim, qkDim, vDim, 1, c, vWide);
    MlstmGather.load(from.n(), (long) pair * qkDim, qkDim, 1, qkDim, 1, n, qkWide);
    stabilizer = from.m().getAtIndex(ValueLayout.JAVA_FLOAT, pair);
  }

  void writeState(MlstmState to, int pair) {
    MlstmGather.store(c, vWide, 1, qkDim, vDim, to.c(), (long) pair * qkDim * vDim, vDim);
    MlstmGather.store(n, qkWide, 1, 1, qkDim, to.n(), (long) pair * qkDim, qkDim);
    to.m().setAtIndex(ValueLayout.JAVA_FLOAT, pair, stabilizer);
  }

  void clearStateGradient() {
    Arrays.fill(dc, 0);
    Arrays.fill(dn, 0);
  }

  void readStateGradient(MlstmStateGradient from, int pair) {
    MlstmGather.load(from.c(), (long) pair * qkDim * vDim, vDim, qkDim, vDim, 1, dc, vWide);
    MlstmGather.load(from.n(), (long) pair * qkDim, qkDim, 1, qkDim, 1, dn, qkWide);
  }

  void writeStateGradient(MlstmStateGradient to, int pair) {
    MlstmGather.store(dc, vWide, 1, qkDim, vDim, to.c(), (long) pair * qkDim * vDim, vDim);
    MlstmGather.store(dn, qkWide, 1, 1, qkDim, to.n(), (long) pair * qkDim, qkDim);
  }

  /// Floats that [#saveState] and [#saveDenominator] write for one chunk.
  static long savedFloats(int qkDim, int vDim, int capacity) {
    return (long) qkDim * MlstmMath.wholeVectors(vDim)
        + MlstmMath.wholeVectors(qkDim)
        + 1
        + whole(capacity, PANEL);
  }

  /// Keeps the entering state.
  void saveState(MemorySegment to, long offset) {
    copy(c, to, offset);
    copy(n, to, offset + c.length);
    to.setAtIndex(ValueLayout.JAVA_FLOAT, offset + c.length + n.length, stabilizer);
  }

  void saveDenominator(MemorySegment to, long offset) {
    copy(denominator, to, offset + c.length + n.length + 1);
  }

  void loadSaved(MemorySegment from, long offset) {
    copy(from, offset, c);
    copy(from, offset + c.length, n);
    stabilizer = from.getAtIndex(ValueLayout.JAVA_FLOAT, offset + c.length + n.length);
    copy(from, offset + c.length + n.length + 1, denominator);
  }

  private static void copy(float[] from, MemorySegment to, long offset) {
    MemorySegment.copy(from, 0, to, ValueLayout.JAVA_FLOAT, offset * Float.BYTES, from.length);
  }

  private static void copy(MemorySegment from, long offset, float[] to) {
    MemorySegment.copy(from, ValueLayout.JAVA_FLOAT, offset * Float.BYTES, to, 0, to.length);
  }

  // ---- both directions -------------------------------------------------------------------------

  /// Reads positions `[from, from + positions)`, and the gates' decays from the entering state.
  void read(
      MlstmShape shape,
      MlstmInputs inputs,
      ChunkQkv qkv,
      int row,
      int head,
      int from,
      int positions) {
    count = positions;
    readGates(shape, inputs, row, head, from);
    if (!tokens) {
      return;
    }
    qkv.read(row * shape.heads() + head, from, count, q, k, v);
    clearPadding();
    if (count < across) { // what an earlier chunk left there might not be finite
      for (int x = 0; x < qkDim; x++) {
        Arrays.fill(kT, x * across + count, (x + 1) * across, 0);
      }
    }
    transposition.run(count, qkDim, new Block(k, 0, qkWide), new Block(kT, 0, across));
  }

  /// Padding may hold anything, such as infinities, which times 0 are not 0.
  private void clearPadding() {
    for (int l = 0; l < count; l++) {
      if (!token[l]) {
        Arrays.fill(q, l * qkWide, (l + 1) * qkWide, 0);
        Arrays.fill(k, l * qkWide, (l + 1) * qkWide, 0);
        Arrays.fill(v, l * vWide, (l + 1) * vWide, 0);
      }
    }
  }

  private void readGates(MlstmShape shape, MlstmInputs inputs, int row, int head, int from) {
    gather(shape, inputs.igate(), row, head, from, igate);
    gather(shape, inputs.fgate(), row, head, from, fgate);
    for (int offset = 0; offset < across; offset += WIDTH) {
      MlstmMath.logSigmoid(FloatVector.fromArray(LANES, fgate, offset)).intoArray(logF, offset);
    }
    tokens = false;
    float last = stabilizer;
    float entry = stabilizer; // log of what is left of the entering state
    for (int l = 0; l < count; l++) {
      token[l] = inputs.isToken(shape, row, from + l);
      start[l] = inputs.isStart(shape, row, from + l);
      tokens |= token[l];
      if (!token[l]) { // padding forgets nothing and adds nothing
        logF[l] = 0;
        igate[l] = Float.NEGATIVE_INFINITY;
      }
      if (start[l]) {
        last = 0;
        entry = Float.NEGATIVE_INFINITY;
      }
      entry += logF[l];
      last = Math.max(last + logF[l], igate[l]);
      m[l] = last;
      u[l] = entry - last;
    }
    for (int offset = 0; offset < across; offset += WIDTH) {
      MlstmMath.exp(FloatVector.fromArray(LANES, u, offset)).intoArray(u, offset);
      MlstmMath.exp(FloatVector.fromArray(LANES, m, offset).neg()).intoArray(floor, offset);
    }
  }

  /// The columns that a row of a matrix over positions has: up to the end of its panel.
  private int columns(int l) {
    return Math.min(across, (l / PANEL + 1) * PANEL);
  }

  /// The same in whole pairs of vectors, which are quicker to compute than a single one; what is
  /// too much is never read.
  private int wholeColumns(int l) {
    return Math.min(across, Math.ceilDiv(columns(l), 2 * WIDTH) * 2 * WIDTH);
  }

  /// The log decays from every position to l, out of those to l - 1: added up and not subtracted,
  /// so strong forgetting loses no digits.
  private void advanceLogD(int l) {
    int columns = columns(l);
    if (start[l]) {
      Arrays.fill(logD, 0, columns, Float.NEGATIVE_INFINITY);
    } else {
      float forget = logF[l];
      for (int offset = 0; offset < columns; offset += WIDTH) {
        FloatVector.fromArray(LANES, logD, offset).add(forget).intoArray(logD, offset);
      }
    }
    logD[l] = igate[l];
  }

  /// Q Kᵀ up to the diagonal.
  private void score() {
    var queries = new Block(q, 0, qkWide);
    var keys = new Block(kT, 0, across);
    var to = new Block(scores, 0, across);
    for (int l = 0; l < count; l += PANEL) {
      int rows = Math.min(PANEL, count - l);
      product.multiply(
          rows, wholeColumns(l), qkDim, queries.from(l, 0), keys, to.from(l, 0), false);
    }
  }

  /// `to += a b`, a `(count, across)` lower triangular.
  private void multiplyLower(float[] a, float[] b, float[] to, int wide, boolean add) {
    var left = new Block(a, 0, across);
    var right = new Block(b, 0, wide);
    var sum = new Block(to, 0, wide);
    for (int l = 0; l < count; l += PANEL) {
      int rows = Math.min(PANEL, count - l);
      product.multiply(
          rows, wide, Math.min(count, l + PANEL), left.from(l, 0), right, sum.from(l, 0), add);
    }
  }

  /// `to += aᵀ b`, a `(count, across)` lower triangular.
  private void multiplyLowerTransposed(float[] a, float[] b, float[] to, int wide, boolean add) {
    var left = new Block(a, 0, across);
    var right = new Block(b, 0, wide);
    var sum = new Block(to, 0, wide);
    for (int j = 0; j < count; j += PANEL) {
      int rows = Math.min(PANEL, count - j);
      product.multiplyTransposedLeft(
          rows, wide, count - j, left.from(j, j), right.from(j, 0), sum.from(j, 0), add);
    }
  }

  /// `to_l = factor_l from_l`.
  private void scaleRows(float[] from, float[] factors, float[] to, int wide) {
    for (int l = 0; l < count; l++) {
      float factor = factors[l];
      for (int offset = l * wide; offset < (l + 1) * wide; offset += WIDTH) {
        FloatVector.fromArray(LANES, from, offset).mul(factor).intoArray(to, offset);
      }
    }
  }

  // ---- forward ---------------------------------------------------------------------------------

  /// Writes h of the chunk and moves the state behind it.
  void forward(MlstmShape shape, StridedMatrix h, int row, int head, int from) {
    if (!tokens) {
      Arrays.fill(numerator, 0);
      store(shape, numerator, h, row, head, from);
      return;
    }
    score();
    decayScores();
    scaleRows(q, u, uq, qkWide);
    product.multiply(
        count,
        vWide,
        qkDim,
        new Block(uq, 0, qkWide),
        new Block(c, 0, vWide),
        new Block(numerator, 0, vWide),
        false);
    multiplyLower(scores, v, numerator, vWide, true);
    invertDivisors();
    scaleRows(numerator, inverse, numerator, vWide);
    store(shape, numerator, h, row, head, from);
    advanceState();
  }

  /// Scores times decays, and their sums: the denominators. Leaves the log decays to the end.
  private void decayScores() {
    Arrays.fill(logD, Float.NEGATIVE_INFINITY);
    for (int l = 0; l < count; l++) {
      advanceLogD(l);
      int columns = columns(l);
      var sum = FloatVector.zero(LANES);
      for (int offset = 0; offset < columns; offset += WIDTH) {
        var e = MlstmMath.exp(FloatVector.fromArray(LANES, logD, offset).sub(m[l]));
        var s = FloatVector.fromArray(LANES, scores, l * across + offset).mul(e);
        s.intoArray(scores, l * across + offset);
        sum = sum.add(s);
      }
      var carried = FloatVector.zero(LANES);
      for (int offset = 0; offset < qkWide; offset += WIDTH) {
        var x = FloatVector.fromArray(LANES, q, l * qkWide + offset);
        carried = x.fma(FloatVector.fromArray(LANES, n, offset), carried);
      }
      denominator[l] = MlstmMath.sum(carried.fma(FloatVector.broadcast(LANES, u[l]), sum));
    }
    decayToEnd();
  }

  private void decayToEnd() {
    for (int offset = 0; offset < across; offset += WIDTH) {
      MlstmMath.exp(FloatVector.fromArray(LANES, logD, offset).sub(m[count - 1]))
          .intoArray(w, offset);
    }
  }

  /// `1 / (max(|den|, exp(-m)) + eps)`, 0 at padding.
  private void invertDivisors() {
    for (int l = 0; l < count; l++) {
      float divisor = Math.max(Math.abs(denominator[l]), floor[l]) + MlstmKernel.EPS;
      inverse[l] = token[l] ? 1 / divisor : 0;
    }
  }

  private void advanceState() {
    float forget = u[count - 1];
    scaleRows(k, w, wk, qkWide);
    scaleAll(c, forget);
    scaleAll(n, forget);
    for (int offset = 0; offset < qkWide; offset += WIDTH) {
      var sum = FloatVector.fromArray(LANES, n, offset);
      for (int l = 0; l < count; l++) {
        sum = sum.add(FloatVector.fromArray(LANES, wk, l * qkWide + offset));
      }
      sum.intoArray(n, offset);
    }
    product.multiplyTransposedLeft(
        qkDim,
        vWide,
        count,
        new Block(wk, 0, qkWide),
        new Block(v, 0, vWide),
        new Block(c, 0, vWide),
        true);
    stabilizer = m[count - 1];
  }

  private static void scaleAll(float[] data, float factor) {
    for (int offset = 0; offset < data.length; offset += WIDTH) {
      FloatVector.fromArray(LANES, data, offset).mul(factor).intoArray(data, offset);
    }
  }

  // ---- backward --------------------------------------------------------------------------------

  /// Writes the gradients of the chunk and moves the gradient of the state before it.
  ///
  /// With P the gradient of the scores before their decay, `dden` that of the denominator, and dnum
  /// that of the numerator:
  ///
  /// ```
  /// P  = (dnum Vᵀ + dden 1ᵀ) * E
  /// dQ = s (P K + u (dnum Cᵀ + dden nᵀ))
  /// dK = Pᵀ s Q + w (V dC'ᵀ + 1 dn'ᵀ)
  /// dV = (Q Kᵀ * E)ᵀ dnum + w K dC'
  /// dC = u_L dC' + (u s Q)ᵀ dnum,  dn = u_L dn' + (u s Q)ᵀ dden
  /// ```
  void backward(
      MlstmShape shape,
      ChunkQkv qkv,
      StridedMatrix h,
      StridedMatrix dH,
      MlstmGradients gradients,
      int row,
      int head,
      int from) {
    if (tokens) {
      load(shape, h, row, head, from, numerator);
      load(shape, dH, row, head, from, dNumerator);
      backward();
    } else {
      zeroGradients();
    }
    qkv.write(row * shape.heads() + head, from, count, dq, dk, dv);
    scatter(shape, kdk, gradients.igate(), row, head, from);
    scatter(shape, dFgate, gradients.fgate(), row, head, from);
  }

  private void backward() {
    divideBack();
    score();
    scoreBack();
    decayBoth();
    scaleRows(q, u, uq, qkWide);
    scaleRows(k, w, wk, qkWide);
    queriesBack();
    keysBack();
    valuesBack();
    gatesBack();
    stateBack();
  }

  private void zeroGradients() {
    Arrays.fill(dq, 0);
    Arrays.fill(dk, 0);
    Arrays.fill(dv, 0);
    Arrays.fill(kdk, 0);
    Arrays.fill(dFgate, 0);
  }

  /// From dh, in the place of dnum, to dnum and dden.
  private void divideBack() {
    invertDivisors();
    for (int l = 0; l < count; l++) {
      if (!token[l]) {
        Arrays.fill(dNumerator, l * vWide, (l + 1) * vWide, 0);
        dDenominator[l] = 0;
        continue;
      }
      float factor = inverse[l];
      var sum = FloatVector.zero(LANES);
      for (int offset = l * vWide; offset < (l + 1) * vWide; offset += WIDTH) {
        var d = FloatVector.fromArray(LANES, dNumerator, offset).mul(factor);
        d.intoArray(dNumerator, offset);
        sum = d.fma(FloatVector.fromArray(LANES, numerator, offset), sum); // of h
      }
      dDenominator[l] =
          Math.abs(denominator[l]) > floor[l]
              ? -MlstmMath.sum(sum) * Math.signum(denominator[l])
              : 0;
    }
  }

  /// `dnum Vᵀ` up to the diagonal.
  private void scoreBack() {
    transposition.run(count, vDim, new Block(v, 0, vWide), new Block(vT, 0, across));
    var rowsOf = new Block(dNumerator, 0, vWide);
    var values = new Block(vT, 0, across);
    var to = new Block(dScores, 0, across);
    for (int l = 0; l < count; l += PANEL) {
      int rows = Math.min(PANEL, count - l);
      product.multiply(
          rows, wholeColumns(l), vDim, rowsOf.from(l, 0), values, to.from(l, 0), false);
    }
  }

  private void decayBoth() {
    Arrays.fill(logD, Float.NEGATIVE_INFINITY);
    for (int l = 0; l < count; l++) {
      advanceLogD(l);
      int end = l * across + columns(l);
      int column = 0;
      for (int offset = l * across; offset < end; offset += WIDTH) {
        var e = MlstmMath.exp(FloatVector.fromArray(LANES, logD, column).sub(m[l]));
        FloatVector.fromArray(LANES, scores, offset).mul(e).intoArray(scores, offset);
        var p = FloatVector.fromArray(LANES, dScores, offset).add(dDenominator[l]);
        p.mul(e).intoArray(dScores, offset);
        column += WIDTH;
      }
    }
    decayToEnd();
  }

  private void queriesBack() {
    var cT = new Block(turned, 0, qkWide);
    transposition.run(qkDim, vDim, new Block(c, 0, vWide), cT);
    product.multiply(
        count, qkWide, vDim, new Block(dNumerator, 0, vWide), cT, new Block(dq, 0, qkWide), false);
    for (int l = 0; l < count; l++) {
      for (int x = 0; x < qkWide; x += WIDTH) {
        var add = FloatVector.fromArray(LANES, n, x).mul(dDenominator[l]);
        FloatVector.fromArray(LANES, dq, l * qkWide + x)
            .add(add)
            .mul(u[l])
            .intoArray(dq, l * qkWide + x);
      }
    }
    multiplyLower(dScores, k, dq, qkWide, true);
    dots(q, dq, qdq);
  }

  private void keysBack() {
    var dcT = new Block(turned, 0, qkWide);
    transposition.run(qkDim, vDim, new Block(dc, 0, vWide), dcT);
    product.multiply(
        count, qkWide, vDim, new Block(v, 0, vWide), dcT, new Block(dk, 0, qkWide), false);
    for (int j = 0; j < count; j++) {
      for (int x = 0; x < qkWide; x += WIDTH) {
        FloatVector.fromArray(LANES, dk, j * qkWide + x)
            .add(FloatVector.fromArray(LANES, dn, x))
            .mul(w[j])
            .intoArray(dk, j * qkWide + x);
      }
    }
    dots(k, dk, kdkLater);
    multiplyLowerTransposed(dScores, q, dk, qkWide, true);
    dots(k, dk, kdk);
  }

  private void valuesBack() {
    product.multiply(
        count,
        vWide,
        qkDim,
        new Block(wk, 0, qkWide),
        new Block(dc, 0, vWide),
        new Block(dv, 0, vWide),
        false);
    multiplyLowerTransposed(scores, dNumerator, dv, vWide, true);
  }

  /// A log forget gate at t scales what reaches a position l >= t, or the end, from a position j <
  /// t, or from the entering state. Sums over the pairs within a document cancel to 0, so a sum
  /// over whole rows less one over whole columns is left with the pairs that t lies between.
  private void gatesBack() {
    double sum = u[count - 1] * (dot(c, dc) + dot(n, dn));
    for (int j = 0; j < count; j++) {
      sum += kdkLater[j];
    }
    double later = 0; // over l >= t
    for (int t = count - 1; t >= 0; t--) {
      sum -= kdkLater[t];
      later += (double) qdq[t] - (kdk[t] - kdkLater[t]);
      dLogF[t] = (float) (sum + later);
      if (start[t]) {
        dLogF[t] = 0;
        later = 0; // the earlier document does not reach past its end
      }
    }
    for (int offset = 0; offset < across; offset += WIDTH) {
      var sigmoid = // of -f
          FloatVector.broadcast(LANES, 1)
              .div(MlstmMath.exp(FloatVector.fromArray(LANES, fgate, offset)).add(1f));
      FloatVector.fromArray(LANES, dLogF, offset).mul(sigmoid).intoArray(dFgate, offset);
    }
    for (int t = 0; t < count; t++) {
      if (!token[t]) {
        dFgate[t] = 0;
      }
    }
  }

  private void stateBack() {
    float forget = u[count - 1];
    scaleAll(dc, forget);
    scaleAll(dn, forget);
    for (int offset = 0; offset < qkWide; offset += WIDTH) {
      var sum = FloatVector.fromArray(LANES, dn, offset);
      for (int l = 0; l < count; l++) {
        var d = FloatVector.broadcast(LANES, dDenominator[l]);
        sum = FloatVector.fromArray(LANES, uq, l * qkWide + offset).fma(d, sum);
      }
      sum.intoArray(dn, offset);
    }
    product.multiplyTransposedLeft(
        qkDim,
        vWide,
        count,
        new Block(uq, 0, qkWide),
        new Block(dNumerator, 0, vWide),
        new Block(dc, 0, vWide),
        true);
  }

  /// `to_l = a_l · b_l`.
  private void dots(float[] a, float[] b, float[] to) {
    for (int l = 0; l < count; l++) {
      var sum = FloatVector.zero(LANES);
      for (int offset = l * qkWide; offset < (l + 1) * qkWide; offset += WIDTH) {
        sum =
            FloatVector.fromArray(LANES, a, offset)
                .fma(FloatVector.fromArray(LANES, b, offset), sum);
      }
      to[l] = MlstmMath.sum(sum);
    }
  }

  private static double dot(float[] a, float[] b) {
    var sum = FloatVector.zero(LANES);
    for (int offset = 0; offset < a.length; offset += WIDTH) {
      sum =
          FloatVector.fromArray(LANES, a, offset).fma(FloatVector.fromArray(LANES, b, offset), sum);
    }
    return MlstmMath.sum(sum);
  }

  // ---- memory ----------------------------------------------------------------------------------

  /// Of values' width.
  private void load(MlstmShape shape, StridedMatrix rows, int row, int head, int from, float[] to) {
    long offset = shape.at(rows, row, head, vDim, from);
    MlstmGather.load(rows.data(), offset, rows.stride(), count, vDim, 1, to, vWide);
  }

  private void store(
      MlstmShape shape, float[] from, StridedMatrix rows, int row, int head, int first) {
    long offset = shape.at(rows, row, head, vDim, first);
    MlstmGather.store(from, vWide, 1, count, vDim, rows.data(), offset, rows.stride());
  }

  private void gather(
      MlstmShape shape, StridedMatrix rows, int row, int head, int from, float[] to) {
    long offset = shape.at(rows, row, head, 1, from) * Float.BYTES;
    for (int l = 0; l < count; l++) {
      to[l] = rows.data().get(ValueLayout.JAVA_FLOAT, offset);
      offset += (long) rows.stride() * Float.BYTES;
    }
  }

  private void scatter(
      MlstmShape shape, float[] from, StridedMatrix rows, int row, int head, int first) {
    long offset = shape.at(rows, row, head, 1, first) * Float.BYTES;
    for (int l = 0; l < count; l++) {
      rows.data().set(ValueLayout.JAVA_FLOAT, offset, from[l]);
      offset += (long) rows.stride() * Float.BYTES;
    }
  }
}
