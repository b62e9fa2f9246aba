package io.xlstm4j.kernels;

import static io.xlstm4j.kernels.VectorMath.at;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/// The activation on vectors. One task is one piece of one row.
public final class VectorGatedFeedForwardKernel implements GatedFeedForwardKernel {
  private static final int L = VectorMath.LANES.length();
  private static final int PIECE = 1024;
  private static final float DENSITY_AT_ZERO = 0.3989423f; // 1 / sqrt(2 pi)

  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, Workers workers) {
    size.checkBoth("both", both);
    size.checkOut("out", out);
    int pieces = Math.ceilDiv(size.width(), PIECE);
    workers.run(
        size.rows() * pieces,
        number -> new Task(size, number / pieces, number % pieces).forward(both, out));
  }

  @Override
  public void backward(
      Size size, MemorySegment both, MemorySegment dOut, MemorySegment dBoth, Workers workers) {
    size.checkBoth("both", both);
    size.checkOut("dOut", dOut);
    size.checkBoth("dBoth", dBoth);
    int pieces = Math.ceilDiv(size.width(), PIECE);
    workers.run(
        size.rows() * pieces,
        number -> new Task(size, number / pieces, number % pieces).backward(both, dOut, dBoth));
  }

  private static final class Task {
    private final long gateAt;
    private final long upAt;
    private final long outAt;
    private final int count;
    private final float[] gate; // whole vectors, as all below
    private final float[] up;
    private final float[] density; // exp(-gate²/2)
    private final float[] cdf;

    Task(Size size, int row, int piece) {
      int from = piece * PIECE;
      gateAt = 2L * row * size.width() + from;
      upAt = gateAt + size.width();
      outAt = (long) row * size.width() + from;
      count = Math.min(PIECE, size.width() - from);
      int padded = Math.ceilDiv(count, L) * L;
      gate = new float[padded];
      up = new float[padded];
      density = new float[padded];
      cdf = new float[padded];
    }

    void forward(MemorySegment both, MemorySegment out) {
      read(both);
      for (int at = 0; at < gate.length; at += L) {
        at(gate, at).mul(at(cdf, at)).mul(at(up, at)).intoArray(up, at);
      }
      SegmentFloats.write(up, 0, out, outAt, count);
    }

    void backward(MemorySegment both, MemorySegment dOut, MemorySegment dBoth) {
      read(both);
      for (int at = 0; at < gate.length; at += L) { // gelu'(x) = cdf(x) + x density(x)
        FloatVector x = at(gate, at);
        FloatVector slope = at(density, at).mul(DENSITY_AT_ZERO).mul(x).add(at(cdf, at));
        slope.mul(at(up, at)).intoArray(up, at);
        x.mul(at(cdf, at)).intoArray(gate, at);
      }
      for (int at = 0; at < gate.length; at += L) {
        FloatVector d = SegmentFloats.load(dOut, outAt + at, count - at);
        at(up, at).mul(d).intoArray(up, at);
        at(gate, at).mul(d).intoArray(gate, at);
      }
      SegmentFloats.write(up, 0, dBoth, gateAt, count);
      SegmentFloats.write(gate, 0, dBoth, upAt, count);
    }

    private void read(MemorySegment both) {
      SegmentFloats.read(both, gateAt, gate, 0, count);
      SegmentFloats.read(both, upAt, up, 0, count);
      for (int at = 0; at < gate.length; at += L) {
        FloatVector x = at(gate, at);
        VectorMath.expOfNegative(x.mul(x).mul(-0.5f)).intoArray(density, at);
      }
      for (int at = 0; at < gate.length; at += L) {
        VectorMath.normalCdf(at(gate, at), at(density, at)).intoArray(cdf, at);
      }
    }
  }
}
