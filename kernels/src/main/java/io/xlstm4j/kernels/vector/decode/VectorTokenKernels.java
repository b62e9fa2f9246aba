package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;

import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/// [TokenKernels] on the Vector API.
public final class VectorTokenKernels implements TokenKernels {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int WIDTH = LANES.length();
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private static final ArrayLoops<float[]> SILU =
      new ArrayLoops<>(List.of(VectorTokenKernels::silu));

  private final ThreadLocal<float[]> sums = ThreadLocal.withInitial(() -> new float[0]);
  private final ThreadLocal<MlstmToken> mlstm = ThreadLocal.withInitial(MlstmToken::new);
  private final ThreadLocal<SlstmToken> slstm = ThreadLocal.withInitial(SlstmToken::new);

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xOffset,
      MemorySegment tail,
      long tailOffset,
      MemorySegment y,
      long yOffset) {
    int channels = convolution.channels();
    int history = convolution.kernelSize() - 1;
    MemorySegment weight = convolution.weight();
    float[] sums = sums(channels);
    SegmentVectors.read(convolution.bias(), 0, sums, 0, channels);
    for (int tap = 0; tap < history; tap++) {
      long offset = (long) tap * channels;
      addProduct(channels, weight, offset, tail, tailOffset + offset, sums);
      if (tap > 0) {
        copy(channels, tail, tailOffset + offset, tail, tailOffset + offset - channels);
      }
    }
    long last = (long) history * channels;
    addProduct(channels, weight, last, x, xOffset, sums);
    if (history > 0) {
      copy(channels, x, xOffset, tail, tailOffset + last - channels);
    }
    SILU.run(sums);
    SegmentVectors.write(sums, 0, y, yOffset, channels);
  }

  /// This thread's memory for as many floats, up to whole vectors.
  private float[] sums(int count) {
    float[] have = sums.get();
    if (have.length < count) {
      have = new float[PreJitMath.padded(count)];
      sums.set(have);
    }
    return have;
  }

  private static void copy(
      int count, MemorySegment from, long offset, MemorySegment to, long start) {
    MemorySegment.copy(
        from, offset * Float.BYTES, to, start * Float.BYTES, (long) count * Float.BYTES);
  }

  /// `y += a b`
  private static void addProduct(
      int count, MemorySegment a, long aOffset, MemorySegment b, long bOffset, float[] y) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      FloatVector.fromMemorySegment(LANES, a, (aOffset + i) * Float.BYTES, ORDER)
          .fma(
              FloatVector.fromMemorySegment(LANES, b, (bOffset + i) * Float.BYTES, ORDER),
              FloatVector.fromArray(LANES, y, i))
          .intoArray(y, i);
    }
    for (; i < count; i++) {
      y[i] = Math.fma(get(a, aOffset + i), get(b, bOffset + i), y[i]);
    }
  }

  /// Of all there is room for: what is past the end does not matter.
  private static void silu(float[] y) {
    for (int i = 0; i < y.length; i += WIDTH) {
      var x = FloatVector.fromArray(LANES, y, i);
      x.mul(VectorMath.sigmoid(x)).intoArray(y, i);
    }
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmOperands rows, int row, int head, MemorySegment state, long stateOffset) {
    mlstm.get().run(cell, rows, row, head, state, stateOffset);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesOffset, MemorySegment state, long stateOffset) {
    slstm.get().run(cell, gates, gatesOffset, state, stateOffset);
  }
}
