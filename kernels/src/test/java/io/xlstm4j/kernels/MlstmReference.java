package io.xlstm4j.kernels;

import org.jspecify.annotations.Nullable;

/// The recurrence in double precision, and its gradients by central differences with every
/// stabilizer held: that is what a detached stabilizer means. Full rows only.
final class MlstmReference {
  private static final double STEP = 1e-5;

  private final MlstmCase data;

  MlstmReference(MlstmCase data) {
    this.data = data;
  }

  /// The results of one row and head.
  private record Result(double[] h, double[] c, double[] n, double[] m) {}

  /// The sum of outputs times their gradients is what is differentiated.
  ///
  /// @param name of an input: q, k, v, i, f, C, n
  float[] gradient(String name) {
    float[] original = data.get(name);
    float[] result = new float[original.length];
    for (int offset = 0; offset < original.length; offset++) {
      int pair = pairOf(name, offset);
      Result base = run(pair, null, name, offset, 0);
      double up = loss(pair, run(pair, base.m, name, offset, STEP));
      double down = loss(pair, run(pair, base.m, name, offset, -STEP));
      result[offset] = (float) ((up - down) / (2 * STEP));
    }
    return result;
  }

  float[] output(String name) {
    MlstmShape shape = data.shape;
    float[] result = new float[data.get(name).length];
    for (int pair = 0; pair < shape.pairs(); pair++) {
      Result r = run(pair, null, "", 0, 0);
      switch (name) {
        case "C" -> put(r.c, result, pair);
        case "n" -> put(r.n, result, pair);
        case "m" -> result[pair] = (float) r.m[shape.length() - 1];
        default -> {
          for (int t = 0; t < shape.length(); t++) {
            for (int y = 0; y < shape.vDim(); y++) {
              result[index("h", pair, t) + y] = (float) r.h[t * shape.vDim() + y];
            }
          }
        }
      }
    }
    return result;
  }

  private static void put(double[] from, float[] to, int pair) {
    for (int i = 0; i < from.length; i++) {
      to[pair * from.length + i] = (float) from[i];
    }
  }

  private int pairOf(String name, int offset) {
    MlstmShape shape = data.shape;
    int width = data.width(name);
    if (width == 0) {
      return offset / (data.get(name).length / shape.pairs());
    }
    int row = offset / width / shape.length();
    return row * shape.heads() + offset % width / (width / shape.heads());
  }

  private int index(String name, int pair, int t) {
    MlstmShape shape = data.shape;
    int head = pair % shape.heads();
    return data.at(name, pair / shape.heads(), t) + head * (data.width(name) / shape.heads());
  }

  private double loss(int pair, Result r) {
    MlstmShape shape = data.shape;
    double sum = 0;
    for (int t = 0; t < shape.length(); t++) {
      for (int y = 0; y < shape.vDim(); y++) {
        sum += r.h[t * shape.vDim() + y] * data.get("dh")[index("dh", pair, t) + y];
      }
    }
    for (int i = 0; i < r.c.length; i++) {
      sum += r.c[i] * data.get("dC")[pair * r.c.length + i];
    }
    for (int i = 0; i < r.n.length; i++) {
      sum += r.n[i] * data.get("dn")[pair * r.n.length + i];
    }
    return sum;
  }

  /// @param held stabilizers after every position; null to compute them
  /// @param name the input whose element `at` is moved by `by`
  private Result run(int pair, double @Nullable [] held, String name, int offset, double by) {
    MlstmShape shape = data.shape;
    int d = shape.qkDim();
    int e = shape.vDim();
    double[] c = new double[d * e];
    double[] n = new double[d];
    double last = data.warm ? data.get("m")[pair] : 0;
    for (int i = 0; i < c.length && data.warm; i++) {
      c[i] = value("C", pair * c.length + i, name, offset, by);
    }
    for (int i = 0; i < d && data.warm; i++) {
      n[i] = value("n", pair * d + i, name, offset, by);
    }
    double[] h = new double[shape.length() * e];
    double[] ms = new double[shape.length()];
    for (int t = 0; t < shape.length(); t++) {
      double igate = value("i", index("i", pair, t), name, offset, by);
      double fgate = value("f", index("f", pair, t), name, offset, by);
      double logF = -Math.log1p(Math.exp(-Math.abs(fgate))) + Math.min(fgate, 0);
      double m = held == null ? Math.max(logF + last, igate) : held[t];
      double den = 0;
      double[] num = new double[e];
      for (int x = 0; x < d; x++) {
        double k = value("k", index("k", pair, t) + x, name, offset, by);
        double q = value("q", index("q", pair, t) + x, name, offset, by) / Math.sqrt(d);
        n[x] = Math.exp(logF + last - m) * n[x] + Math.exp(igate - m) * k;
        den += q * n[x];
        for (int y = 0; y < e; y++) {
          double v = value("v", index("v", pair, t) + y, name, offset, by);
          c[x * e + y] = Math.exp(logF + last - m) * c[x * e + y] + Math.exp(igate - m) * k * v;
          num[y] += q * c[x * e + y];
        }
      }
      for (int y = 0; y < e; y++) {
        h[t * e + y] = num[y] / (Math.max(Math.abs(den), Math.exp(-m)) + 1e-6);
      }
      ms[t] = m;
      last = m;
    }
    return new Result(h, c, n, ms);
  }

  private double value(String name, int offset, String moved, int movedOffset, double by) {
    double value = data.get(name)[offset];
    return name.equals(moved) && offset == movedOffset ? value + by : value;
  }
}
