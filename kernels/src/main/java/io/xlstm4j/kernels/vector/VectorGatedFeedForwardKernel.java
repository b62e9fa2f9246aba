package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.GatedFeedForwardKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/// The activation on vectors. One task is some rows, piece by piece.
public final class VectorGatedFeedForwardKernel implements GatedFeedForwardKernel {
  private static final int L = VectorMath.LANES.length();
  private static final int ROWS = 16;
  private static final int PIECE = 512;
  private static final FloatVector DENSITY_AT_ZERO = // 1 / sqrt(2 pi)
      FloatVector.broadcast(VectorMath.LANES, 0.3989423f);

  @Override
  public void forward(Size size, MemorySegment both, MemorySegment out, KernelThreads threads) {
    size.checkBoth("both", both);
    size.checkOut("out", out);
    threads.run(
        Math.ceilDiv(size.rows(), ROWS), number -> new Task(size).forward(number, both, out));
  }

  @Override
  public void backward(
      Size size,
      MemorySegment both,
      MemorySegment dOut,
      MemorySegment dBoth,
      KernelThreads threads) {
    size.checkBoth("both", both);
    size.checkOut("dOut", dOut);
    size.checkBoth("dBoth", dBoth);
    threads.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> new Task(size).backward(number, both, dOut, dBoth));
  }

  private static final class Task {
    private final Size size;
    private final float[] gate; // of a piece of a row, as all
    private final float[] up;
    private final float[] d;
    private final float[] density; // exp(-gate²/2)
    private final float[] cdf;

    Task(Size size) {
      this.size = size;
      int padded = Math.ceilDiv(Math.min(PIECE, size.width()), L) * L;
      gate = new float[padded];
      up = new float[padded];
      d = new float[padded];
      density = new float[padded];
      cdf = new float[padded];
    }

    private int last(int number) {
      return Math.min((number + 1) * ROWS, size.rows());
    }

    void forward(int number, MemorySegment both, MemorySegment out) {
      int width = size.width();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int from = 0; from < width; from += PIECE) {
          int count = Math.min(PIECE, width - from);
          long gateOffset = 2L * row * width + from;
          long outOffset = (long) row * width + from;
          read(both, gateOffset, count);
          for (int offset = 0; offset < count; offset += L) {
            at(gate, offset).mul(at(cdf, offset)).mul(at(up, offset)).intoArray(d, offset);
          }
          SegmentVectors.write(d, 0, out, outOffset, count);
        }
      }
    }

    void backward(int number, MemorySegment both, MemorySegment dOut, MemorySegment dBoth) {
      int width = size.width();
      for (int row = number * ROWS; row < last(number); row++) {
        for (int from = 0; from < width; from += PIECE) {
          int count = Math.min(PIECE, width - from);
          long gateOffset = 2L * row * width + from;
          long outOffset = (long) row * width + from;
          read(both, gateOffset, count);
          SegmentVectors.read(dOut, outOffset, d, 0, count);
          for (int offset = 0; offset < count; offset += L) { // gelu'(x) = cdf(x) + x density(x)
            FloatVector x = at(gate, offset);
            FloatVector slope =
                at(density, offset).mul(DENSITY_AT_ZERO).mul(x).add(at(cdf, offset));
            x.mul(at(cdf, offset)).mul(at(d, offset)).intoArray(gate, offset);
            slope.mul(at(up, offset)).mul(at(d, offset)).intoArray(up, offset);
          }
          SegmentVectors.write(up, 0, dBoth, gateOffset, count);
          SegmentVectors.write(gate, 0, dBoth, gateOffset + width, count);
        }
      }
    }

    /// Gate and up, and the distribution at the gate.
    private void read(MemorySegment both, long gateOffset, int count) {
      SegmentVectors.read(both, gateOffset, gate, 0, count);
      SegmentVectors.read(both, gateOffset + size.width(), up, 0, count);
      for (int offset = 0; offset < count; offset += L) {
        FloatVector x = at(gate, offset);
        VectorMath.expOfNegative(x.mul(x).mul(-0.5f)).intoArray(density, offset);
      }
      for (int offset = 0; offset < count; offset += L) {
        VectorMath.normalCdf(at(gate, offset), at(density, offset)).intoArray(cdf, offset);
      }
    }
  }
}
