package io.xlstm4j.cuda.mlstm;

import java.util.Arrays;
import java.util.stream.IntStream;

/// The mLSTM cell in float64, forward and backward, token by token as in the equations (Beck et al.
/// 2024, arXiv:2405.04517, eq. 19-27), with m as a constant. What the kernels are checked against.
///
/// Arrays lie as in [MlstmInputs].
final class MlstmReference {
  final MlstmShape shape;
  final double[] h;
  final double[] lastC;
  final double[] lastN;
  final double[] lastM;

  /// For each token and head (|q . n| - floor) / (their sum): the gradient jumps where it is 0.
  final double[] margins;

  /// For each token and head the denominator by the sum of the norms of what it is a sum of: the
  /// smaller, the more of it cancels, and the more rounding errors of the sum count.
  final double[] conditions;

  private final double[] q;
  private final double[] k;
  private final double[] v;
  private final double[] igate;
  private final double[] fgate;
  private final boolean[] valid;
  private final boolean[] starts;
  private final double epsilon;

  /// By pair and token: C and n before the token, then f' and i' and m after it.
  private final double[][][] before;

  /// What dq, dk and the gradient of the initial n are small rests of, where their terms cancel:
  /// the sizes of the part that comes through C and of the part that comes through n.
  double[] dqTerms = {};

  double[] dkTerms = {};
  double[] dN0Terms = {};

  double[] dq = {};
  double[] dk = {};
  double[] dv = {};
  double[] digate = {};
  double[] dfgate = {};
  double[] dC0 = {};
  double[] dN0 = {};

  MlstmReference(
      MlstmShape shape,
      double epsilon,
      double[][] inputs,
      double[][] initial,
      boolean[] valid,
      boolean[] starts) {
    this.shape = shape;
    this.epsilon = epsilon;
    q = inputs[0];
    k = inputs[1];
    v = inputs[2];
    igate = inputs[3];
    fgate = inputs[4];
    this.valid = valid;
    this.starts = starts;
    h = new double[(int) shape.vValues()];
    margins = new double[(int) shape.gateValues()];
    conditions = new double[margins.length];
    lastC = initial[0].clone();
    lastN = initial[1].clone();
    lastM = initial[2].clone();
    before = new double[shape.pairs()][shape.length()][];
    IntStream.range(0, shape.pairs()).parallel().forEach(this::forward);
  }

  private void forward(int pair) {
    int d = shape.qkDim();
    int e = shape.vDim();
    double[] c = Arrays.copyOfRange(lastC, pair * d * e, (pair + 1) * d * e);
    double[] n = Arrays.copyOfRange(lastN, pair * d, (pair + 1) * d);
    double m = lastM[pair];
    double norms = norm(n, 0, d); // of what was added to n, with the same weights
    for (int t = 0; t < shape.length(); t++) {
      int position = pair / shape.heads() * shape.length() + t;
      if (!valid[position]) {
        continue;
      }
      if (starts[position]) {
        Arrays.fill(c, 0);
        Arrays.fill(n, 0);
        m = 0;
        norms = 0;
      }
      int gate = gate(pair, t);
      double logF = Math.min(fgate[gate], 0) - Math.log1p(Math.exp(-Math.abs(fgate[gate]))) + m;
      m = Math.max(logF, igate[gate]);
      double input = Math.exp(igate[gate] - m);
      double forget = Math.exp(logF - m);
      double[] kept = Arrays.copyOf(c, d * e + d + 3);
      System.arraycopy(n, 0, kept, d * e, d);
      kept[d * e + d] = forget;
      kept[d * e + d + 1] = input;
      kept[d * e + d + 2] = m;
      before[pair][t] = kept;
      double[] numerator = new double[e];
      double denominator = advance(pair, t, c, n, forget, input, numerator);
      double floor = Math.exp(-m);
      margins[gate] = (Math.abs(denominator) - floor) / (Math.abs(denominator) + floor);
      double divisor = Math.max(Math.abs(denominator), floor) + epsilon;
      norms = forget * norms + input * norm(k, gate * d, d);
      conditions[gate] = divisor / (norm(q, gate * d, d) / Math.sqrt(d) * norms);
      for (int y = 0; y < e; y++) {
        h[gate * e + y] = numerator[y] / divisor;
      }
    }
    System.arraycopy(c, 0, lastC, pair * d * e, d * e);
    System.arraycopy(n, 0, lastN, pair * d, d);
    lastM[pair] = m;
  }

  private static double norm(double[] values, int from, int count) {
    double sum = 0;
    for (int i = from; i < from + count; i++) {
      sum += values[i] * values[i];
    }
    return Math.sqrt(sum);
  }

  /// Takes the token into C and n, and adds s q C to the numerator.
  ///
  /// @return s q . n
  private double advance(
      int pair, int t, double[] c, double[] n, double forget, double input, double[] numerator) {
    int e = shape.vDim();
    int gate = gate(pair, t);
    double scale = 1 / Math.sqrt(shape.qkDim());
    double denominator = 0;
    for (int x = 0; x < n.length; x++) {
      double query = scale * q[gate * n.length + x];
      double key = input * k[gate * n.length + x];
      n[x] = forget * n[x] + key;
      denominator += query * n[x];
      for (int y = 0; y < e; y++) {
        c[x * e + y] = forget * c[x * e + y] + key * v[gate * e + y];
        numerator[y] += query * c[x * e + y];
      }
    }
    return denominator;
  }

  /// For each token and head the sum of |k dk|, of which the gradient of the input gate is what is
  /// left after cancelling.
  double[] gateTerms() {
    var terms = new double[igate.length];
    for (int i = 0; i < terms.length; i++) {
      for (int x = i * shape.qkDim(); x < (i + 1) * shape.qkDim(); x++) {
        terms[i] += dkTerms[x] == 0 ? 0 : Math.abs(k[x] * dkTerms[x]);
      }
    }
    return terms;
  }

  /// Fills the gradients. At padding dh is not read.
  void backward(double[] dh, double[] dLastC, double[] dLastN) {
    dq = new double[q.length];
    dk = new double[k.length];
    dv = new double[v.length];
    digate = new double[igate.length];
    dfgate = new double[fgate.length];
    dC0 = dLastC.clone();
    dN0 = dLastN.clone();
    dqTerms = new double[q.length];
    dkTerms = new double[k.length];
    dN0Terms = Arrays.stream(dLastN).map(Math::abs).toArray();
    IntStream.range(0, shape.pairs()).parallel().forEach(pair -> backward(pair, dh));
  }

  private void backward(int pair, double[] dh) {
    int d = shape.qkDim();
    int e = shape.vDim();
    double[] dc = Arrays.copyOfRange(dC0, pair * d * e, (pair + 1) * d * e);
    double[] dn = Arrays.copyOfRange(dN0, pair * d, (pair + 1) * d);
    double[] dnTerms = Arrays.copyOfRange(dN0Terms, pair * d, (pair + 1) * d);
    for (int t = shape.length() - 1; t >= 0; t--) {
      if (valid[pair / shape.heads() * shape.length() + t]) {
        stepBack(pair, t, dh, dc, dn, dnTerms);
      }
    }
    System.arraycopy(dnTerms, 0, dN0Terms, pair * d, d);
    System.arraycopy(dc, 0, dC0, pair * d * e, d * e);
    System.arraycopy(dn, 0, dN0, pair * d, d);
  }

  private void stepBack(int pair, int t, double[] dh, double[] dc, double[] dn, double[] dnTerms) {
    int d = shape.qkDim();
    int e = shape.vDim();
    int gate = gate(pair, t);
    boolean start = starts[pair / shape.heads() * shape.length() + t];
    double[] kept = before[pair][t];
    double forget = kept[d * e + d];
    double input = kept[d * e + d + 1];
    double floor = Math.exp(-kept[d * e + d + 2]);
    double[] c = Arrays.copyOf(kept, d * e);
    double[] n = Arrays.copyOfRange(kept, d * e, d * e + d);
    double[] numerator = new double[e];
    double denominator = advance(pair, t, c, n, forget, input, numerator);
    double divisor = Math.max(Math.abs(denominator), floor) + epsilon;
    double[] dNumerator = new double[e];
    double dDivisor = 0;
    double squares = 0;
    for (int y = 0; y < e; y++) {
      dNumerator[y] = dh[gate * e + y] / divisor;
      double term = dNumerator[y] * numerator[y] / divisor;
      dDivisor -= term;
      squares += term * term;
    }
    double dDenominator = Math.abs(denominator) > floor ? dDivisor * Math.signum(denominator) : 0;
    double dDenominatorTerms = dDenominator == 0 ? 0 : Math.sqrt(squares) + Math.abs(dDivisor);
    double scale = 1 / Math.sqrt(d);
    double dLogF = 0;
    double dInput = 0;
    for (int x = 0; x < d; x++) {
      double query = scale * q[gate * d + x];
      double key = k[gate * d + x];
      double toQuery = dDenominator * n[x];
      double toQueryTerms = dDenominatorTerms * Math.abs(n[x]);
      dn[x] += query * dDenominator;
      dnTerms[x] += Math.abs(query) * dDenominatorTerms;
      double dnOfToken = dn[x];
      double toKey = dnOfToken;
      for (int y = 0; y < e; y++) {
        int at = x * e + y;
        toQuery += dNumerator[y] * c[at];
        dc[at] += query * dNumerator[y];
        toKey += dc[at] * v[gate * e + y];
        dv[gate * e + y] += input * key * dc[at];
        dLogF += forget * kept[at] * dc[at];
        dc[at] = start ? 0 : dc[at] * forget;
      }
      dInput += input * key * toKey;
      dLogF += forget * kept[d * e + x] * dn[x];
      dn[x] = start ? 0 : dn[x] * forget;
      dqTerms[gate * d + x] = scale * (Math.abs(toQuery - dDenominator * n[x]) + toQueryTerms);
      dkTerms[gate * d + x] = input * (Math.abs(toKey - dnOfToken) + dnTerms[x]);
      dnTerms[x] = start ? 0 : dnTerms[x] * forget;
      dq[gate * d + x] = scale * toQuery;
      dk[gate * d + x] = input * toKey;
    }
    digate[gate] = dInput;
    dfgate[gate] = dLogF / (1 + Math.exp(fgate[gate]));
  }

  /// Of `(B, S, NH)`.
  private int gate(int pair, int t) {
    return (pair / shape.heads() * shape.length() + t) * shape.heads() + pair % shape.heads();
  }
}
