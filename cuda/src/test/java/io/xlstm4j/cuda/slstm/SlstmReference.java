package io.xlstm4j.cuda.slstm;

import java.util.Arrays;

/// The sLSTM cell in float64, forward and backward, in plain loops over the equations (Beck et al.
/// 2024, arXiv:2405.04517, eq. 8-17). The stabilizer m is a variable like every other, so its
/// gradient comes by the chain rule alone and not by the shortcut that the kernels take. What the
/// kernels are checked against.
///
/// Arrays lie as in [SlstmInputs]; a state is one array `(4, B, NH, DH)` of y, c, n, m.
final class SlstmReference {
  final SlstmShape shape;
  final double[] y;
  final double[] last;
  private final double[] r;
  private final boolean[] valid;
  private final boolean[] starts;

  /// For each unit and token: i, f, z, o, f before its activation; then y, c, n, m before and c, n
  /// after; then whether the input gate set m.
  private final double[] steps;

  /// The smallest distance between the two candidates for m. The gradient jumps where they meet.
  double margin = Double.POSITIVE_INFINITY;

  private static final int STEP = 12;

  double[] dwx = {};
  double[] dr = {};
  double[] dbias = {};
  double[] dInitial = {};

  SlstmReference(
      SlstmShape shape,
      double[] wx,
      double[] r,
      double[] bias,
      double[] initial,
      boolean[] valid,
      boolean[] starts) {
    this.shape = shape;
    this.r = r;
    this.valid = valid;
    this.starts = starts;
    y = new double[(int) shape.outputValues()];
    last = initial.clone();
    steps = new double[y.length * STEP];
    int width = shape.headDim();
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = 0; t < shape.length(); t++) {
          if (valid[b * shape.length() + t]) {
            step(wx, bias, b, t, h, width);
          }
        }
      }
    }
  }

  private void step(double[] wx, double[] bias, int b, int t, int h, int width) {
    int n = (int) shape.stateValues();
    int at = state(b, h);
    if (starts[b * shape.length() + t]) {
      for (int part = 0; part < 4; part++) {
        Arrays.fill(last, part * n + at, part * n + at + width, 0);
      }
    }
    double[] before = Arrays.copyOfRange(last, at, at + width);
    for (int u = 0; u < width; u++) {
      double[] raw = new double[4];
      for (int g = 0; g < 4; g++) {
        double sum = wx[gate(b, t, g, h) + u] + bias[(h * 4 + g) * width + u];
        for (int p = 0; p < width; p++) {
          sum += before[p] * r[((h * width + p) * 4 + g) * width + u];
        }
        raw[g] = sum;
      }
      double c0 = last[n + at + u];
      double n0 = last[2 * n + at + u];
      double m0 = last[3 * n + at + u];
      double logF = m0 + Math.min(raw[1], 0) - Math.log1p(Math.exp(-Math.abs(raw[1])));
      boolean input = n0 == 0 || raw[0] >= logF;
      if (n0 != 0) {
        margin = Math.min(margin, Math.abs(raw[0] - logF));
      }
      double m = n0 == 0 ? raw[0] : Math.max(raw[0], logF);
      double i = Math.min(Math.exp(raw[0] - m), 1);
      double f = Math.min(Math.exp(logF - m), 1);
      double z = Math.tanh(raw[2]);
      double o = 1 / (1 + Math.exp(-raw[3]));
      double c = f * c0 + i * z;
      double normalizer = f * n0 + i;
      double[] all = {i, f, z, o, raw[1], before[u], c0, n0, m0, c, normalizer, input ? 1 : 0};
      System.arraycopy(all, 0, steps, (output(b, t, h) + u) * STEP, STEP);
      y[output(b, t, h) + u] = o * c / normalizer;
      last[at + u] = o * c / normalizer;
      last[n + at + u] = c;
      last[2 * n + at + u] = normalizer;
      last[3 * n + at + u] = m;
    }
  }

  /// Fills dwx, dr, dbias and dInitial.
  void backward(double[] dy, double[] dLast) {
    dwx = new double[y.length * 4];
    dr = new double[r.length];
    dbias = new double[(int) shape.biasValues()];
    dInitial = dLast.clone();
    for (int b = 0; b < shape.batch(); b++) {
      for (int h = 0; h < shape.heads(); h++) {
        for (int t = shape.length() - 1; t >= 0; t--) {
          if (valid[b * shape.length() + t]) {
            stepBack(dy, b, t, h, shape.headDim());
          }
        }
      }
    }
  }

  private void stepBack(double[] dy, int b, int t, int h, int width) {
    int all = (int) shape.stateValues();
    int at = state(b, h);
    for (int u = 0; u < width; u++) {
      int s = (output(b, t, h) + u) * STEP;
      double i = steps[s];
      double f = steps[s + 1];
      double z = steps[s + 2];
      double o = steps[s + 3];
      double c = steps[s + 9];
      double n = steps[s + 10];
      double dyAll = dy[output(b, t, h) + u] + dInitial[at + u];
      double dc = dInitial[all + at + u] + dyAll * o / n;
      double dn = dInitial[2 * all + at + u] - dyAll * o * c / (n * n);
      double di = (z * dc + dn) * i; // of the exponent i - m
      double df = (steps[s + 6] * dc + steps[s + 7] * dn) * f; // of the exponent logF - m
      double dm = dInitial[3 * all + at + u] - di - df;
      boolean input = steps[s + 11] == 1;
      double dLogF = df + (input ? 0 : dm);
      dwx[gate(b, t, 0, h) + u] = di + (input ? dm : 0);
      dwx[gate(b, t, 1, h) + u] = dLogF / (1 + Math.exp(steps[s + 4]));
      dwx[gate(b, t, 2, h) + u] = i * dc * (1 - z * z);
      dwx[gate(b, t, 3, h) + u] = (1 - o) * o * c / n * dyAll;
      dInitial[all + at + u] = f * dc;
      dInitial[2 * all + at + u] = f * dn;
      dInitial[3 * all + at + u] = dLogF;
    }
    for (int p = 0; p < width; p++) {
      double sum = 0;
      double before = steps[(output(b, t, h) + p) * STEP + 5];
      for (int g = 0; g < 4; g++) {
        int row = ((h * width + p) * 4 + g) * width;
        int from = gate(b, t, g, h);
        for (int u = 0; u < width; u++) {
          sum += r[row + u] * dwx[from + u];
          dr[row + u] += before * dwx[from + u];
        }
      }
      dInitial[at + p] = sum;
    }
    for (int g = 0; g < 4; g++) {
      for (int u = 0; u < width; u++) {
        dbias[(h * 4 + g) * width + u] += dwx[gate(b, t, g, h) + u];
      }
    }
    if (starts[b * shape.length() + t]) {
      for (int part = 0; part < 4; part++) {
        Arrays.fill(dInitial, part * all + at, part * all + at + width, 0);
      }
    }
  }

  private int state(int b, int h) {
    return (b * shape.heads() + h) * shape.headDim();
  }

  private int output(int b, int t, int h) {
    return ((b * shape.length() + t) * shape.heads() + h) * shape.headDim();
  }

  private int gate(int b, int t, int g, int h) {
    return (((b * shape.length() + t) * 4 + g) * shape.heads() + h) * shape.headDim();
  }
}
