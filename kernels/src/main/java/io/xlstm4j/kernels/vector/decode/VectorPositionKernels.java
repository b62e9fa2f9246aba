package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.reference.ScalarPositionKernels;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/// [PositionKernels] on the Vector API.
public final class VectorPositionKernels implements PositionKernels {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int WIDTH = LANES.length();
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private final ThreadLocal<GateStep> gates = ThreadLocal.withInitial(GateStep::new);
  private final ThreadLocal<NormStep> norms = ThreadLocal.withInitial(NormStep::new);

  // lane l takes input j of its block of 4
  private static final VectorShuffle<Float> FIRST = VectorShuffle.fromOp(LANES, l -> ofFour(l, 0));
  private static final VectorShuffle<Float> SECOND = VectorShuffle.fromOp(LANES, l -> ofFour(l, 1));
  private static final VectorShuffle<Float> THIRD = VectorShuffle.fromOp(LANES, l -> ofFour(l, 2));
  private static final VectorShuffle<Float> FOURTH = VectorShuffle.fromOp(LANES, l -> ofFour(l, 3));

  private static int ofFour(int lane, int input) {
    return ((lane & ~3) | input) % WIDTH;
  }

  @Override
  public void normalize(int first, int end, Norm norm, MemoryMatrix x, MemoryMatrix y) {
    NormStep head = norms.get();
    for (int row = first; row < end; row++) {
      for (int i = 0; i < norm.heads(); i++) {
        head.run(norm, i * norm.headDim(), x, y, row);
      }
    }
  }

  @Override
  public void gate(
      int first,
      int end,
      int width,
      Activation activation,
      MemoryMatrix gate,
      MemoryMatrix up,
      MemoryMatrix y) {
    int whole = LANES.loopBound(width);
    GateStep piece = gates.get();
    for (int row = first; row < end; row++) {
      for (int from = 0; from < whole; from += GateStep.PIECE) {
        int count = Math.min(whole - from, GateStep.PIECE);
        piece.run(activation, count, gate, up, y, row, from);
      }
      ScalarPositionKernels.gate(whole, width, activation, gate, up, y, row);
    }
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y) {
    int whole = LANES.loopBound(width);
    for (int row = first; row < end; row++) {
      addScaled(whole, scale, x.data(), x.row(row), y.data(), y.row(row));
      ScalarPositionKernels.addScaled(whole, width, scale, x, y, row);
    }
  }

  private static void addScaled(
      int whole,
      MemorySegment scale,
      MemorySegment x,
      long xOffset,
      MemorySegment y,
      long yOffset) {
    for (int i = 0; i < whole; i += WIDTH) {
      long to = (yOffset + i) * Float.BYTES;
      FloatVector.fromMemorySegment(LANES, x, (xOffset + i) * Float.BYTES, ORDER)
          .mul(FloatVector.fromMemorySegment(LANES, scale, (long) i * Float.BYTES, ORDER))
          .add(FloatVector.fromMemorySegment(LANES, y, to, ORDER))
          .intoMemorySegment(y, to, ORDER);
    }
  }

  @Override
  public void softCap(int first, int end, int width, float cap, MemoryMatrix x) {
    int whole = LANES.loopBound(width);
    GateStep piece = gates.get();
    for (int row = first; row < end; row++) {
      for (int from = 0; from < whole; from += GateStep.PIECE) {
        piece.softCap(cap, Math.min(whole - from, GateStep.PIECE), x, row, from);
      }
      ScalarPositionKernels.softCap(whole, width, cap, x, row);
    }
  }

  @Override
  public void headwise(int first, int end, Headwise projection, MemoryMatrix x, MemoryMatrix y) {
    int whole = projection.block() == 4 && WIDTH >= 4 ? LANES.loopBound(projection.width()) : 0;
    for (int row = first; row < end; row++) {
      blocksOf4(whole, projection, x, y, row);
      for (int o = whole; o < projection.width(); o++) {
        ScalarPositionKernels.output(projection, x, y, row, o);
      }
    }
  }

  private static void blocksOf4(
      int whole, Headwise projection, MemoryMatrix x, MemoryMatrix y, int row) {
    MemorySegment weight = projection.weight();
    MemorySegment bias = projection.bias();
    long next = (long) projection.width() * Float.BYTES;
    for (int o = 0; o < whole; o += WIDTH) {
      long offset = (long) o * Float.BYTES;
      var in =
          FloatVector.fromMemorySegment(LANES, x.data(), (x.row(row) + o) * Float.BYTES, ORDER);
      var sum =
          bias == null
              ? FloatVector.zero(LANES)
              : FloatVector.fromMemorySegment(LANES, bias, offset, ORDER);
      var w = FloatVector.fromMemorySegment(LANES, weight, offset, ORDER);
      sum = in.rearrange(FIRST).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, offset + next, ORDER);
      sum = in.rearrange(SECOND).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, offset + 2 * next, ORDER);
      sum = in.rearrange(THIRD).fma(w, sum);
      w = FloatVector.fromMemorySegment(LANES, weight, offset + 3 * next, ORDER);
      sum = in.rearrange(FOURTH).fma(w, sum);
      sum.intoMemorySegment(y.data(), (y.row(row) + o) * Float.BYTES, ORDER);
    }
  }
}
