package io.xlstm4j.torch;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// The sLSTM cell and its backward pass as plain loops, written from the equations of docs/math.md
/// 1.1 and 1.6, with the plain LSTM of the same recurrence beside it. Only for tests.
///
/// Arrays are row-major: wx and dWx `(B, S, 4, NH, DH)`, r `(NH, DH, 4, DH)`, b `(NH, 4, DH)`,
/// states and y of one step `(B, NH, DH)`.
final class PlainSlstm {
  boolean lstm;
  boolean recurrentCut;
  @Nullable Double recurrentClip;
  @Nullable Double forwardClip;

  private final int batch;
  private final int length;
  private final int heads;
  private final int dim;

  // By step, each (B, NH, DH); index 0 is the initial state.
  final double[][] y;
  final double[][] c;
  final double[][] n;
  final double[][] m;
  private final double[][][] gates; // by step: i, f, z, o after their activations
  private final double[][] forgetPre;
  private final double[][] unclipped; // y before its clip

  PlainSlstm(int batch, int length, int heads, int dim) {
    this.batch = batch;
    this.length = length;
    this.heads = heads;
    this.dim = dim;
    int units = batch * heads * dim;
    y = new double[length + 1][units];
    c = new double[length + 1][units];
    n = new double[length + 1][units];
    m = new double[length + 1][units];
    gates = new double[length][4][units];
    forgetPre = new double[length][units];
    unclipped = new double[length][units];
  }

  void forward(double[] wx, double[] r, double[] b) {
    for (int t = 0; t < length; t++) {
      for (int row = 0; row < batch; row++) {
        for (int head = 0; head < heads; head++) {
          for (int d = 0; d < dim; d++) {
            double[] raw = new double[4];
            for (int g = 0; g < 4; g++) {
              raw[g] = wx[wxAt(row, t, g, head, d)] + b[(head * 4 + g) * dim + d];
              for (int p = 0; p < dim; p++) {
                raw[g] += r[rAt(head, p, g, d)] * y[t][at(row, head, p)];
              }
            }
            step(t, at(row, head, d), raw);
          }
        }
      }
    }
  }

  private void step(int t, int u, double[] raw) {
    double i;
    double f;
    if (lstm) {
      i = sigmoid(raw[0]);
      f = sigmoid(raw[1]);
    } else {
      double logF = m[t][u] - Math.log1p(Math.exp(-raw[1]));
      m[t + 1][u] = n[t][u] == 0 ? raw[0] : Math.max(raw[0], logF);
      i = Math.min(Math.exp(raw[0] - m[t + 1][u]), 1);
      f = Math.min(Math.exp(logF - m[t + 1][u]), 1);
    }
    double z = Math.tanh(raw[2]);
    double o = sigmoid(raw[3]);
    c[t + 1][u] = f * c[t][u] + i * z;
    n[t + 1][u] = lstm ? n[t][u] : f * n[t][u] + i;
    unclipped[t][u] = lstm ? o * Math.tanh(c[t + 1][u]) : o * c[t + 1][u] / n[t + 1][u];
    y[t + 1][u] =
        forwardClip == null
            ? unclipped[t][u]
            : Math.clamp(unclipped[t][u], -forwardClip, forwardClip);
    gates[t][0][u] = i;
    gates[t][1][u] = f;
    gates[t][2][u] = z;
    gates[t][3][u] = o;
    forgetPre[t][u] = raw[1];
  }

  /// @param dy0 gradients of the state before the first token
  record Backward(
      double[] dWx, double[] dr, double[] db, double[] dy0, double[] dc0, double[] dn0) {}

  /// @param dY by step, `(S)(B, NH, DH)`
  Backward backward(double[][] dY, double[] dyLast, double[] dcLast, double[] dnLast, double[] r) {
    double[] dWx = new double[batch * length * 4 * heads * dim];
    double[] dr = new double[r.length];
    double[] db = new double[heads * 4 * dim];
    double[] recurrent = new double[dyLast.length];
    double[] dc = dcLast.clone();
    double[] dn = dnLast.clone();
    for (int t = length - 1; t >= 0; t--) {
      double[][] dGates = new double[4][dyLast.length];
      for (int u = 0; u < dyLast.length; u++) {
        double dy = dY[t][u] + (t == length - 1 ? dyLast[u] : clip(recurrent[u]));
        if (y[t + 1][u] != unclipped[t][u]) {
          dy = 0;
        }
        double i = gates[t][0][u];
        double f = gates[t][1][u];
        double z = gates[t][2][u];
        double o = gates[t][3][u];
        if (lstm) {
          double tanhC = Math.tanh(c[t + 1][u]);
          dc[u] += dy * o * (1 - tanhC * tanhC);
          dGates[0][u] = dc[u] * z * i * (1 - i);
          dGates[1][u] = dc[u] * c[t][u] * f * (1 - f);
        } else {
          dc[u] += dy * o / n[t + 1][u];
          dn[u] -= dy * unclipped[t][u] / n[t + 1][u];
          dGates[0][u] = i * (z * dc[u] + dn[u]);
          dGates[1][u] = f * (c[t][u] * dc[u] + n[t][u] * dn[u]) * sigmoid(-forgetPre[t][u]);
          dn[u] *= f;
        }
        dGates[2][u] = i * dc[u] * (1 - z * z);
        dGates[3][u] = (1 - o) * unclipped[t][u] * dy;
        dc[u] *= f;
      }
      Arrays.fill(recurrent, 0);
      for (int row = 0; row < batch; row++) {
        for (int head = 0; head < heads; head++) {
          for (int g = 0; g < 4; g++) {
            for (int d = 0; d < dim; d++) {
              double gate = dGates[g][at(row, head, d)];
              dWx[wxAt(row, t, g, head, d)] = gate;
              db[(head * 4 + g) * dim + d] += gate;
              for (int p = 0; p < dim; p++) {
                dr[rAt(head, p, g, d)] += y[t][at(row, head, p)] * gate;
                recurrent[at(row, head, p)] += recurrentCut ? 0 : r[rAt(head, p, g, d)] * gate;
              }
            }
          }
        }
      }
    }
    double[] dy0 = Arrays.stream(recurrent).map(this::clip).toArray();
    return new Backward(dWx, dr, db, dy0, dc, dn);
  }

  private double clip(double gradient) {
    return recurrentClip == null ? gradient : Math.clamp(gradient, -recurrentClip, recurrentClip);
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  private int at(int row, int head, int d) {
    return (row * heads + head) * dim + d;
  }

  private int wxAt(int row, int t, int gate, int head, int d) {
    return (((row * length + t) * 4 + gate) * heads + head) * dim + d;
  }

  private int rAt(int head, int in, int gate, int out) {
    return ((head * dim + in) * 4 + gate) * dim + out;
  }
}
