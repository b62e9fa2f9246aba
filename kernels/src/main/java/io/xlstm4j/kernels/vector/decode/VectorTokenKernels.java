package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.get;

import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.vector.math.LaneMath;
import io.xlstm4j.kernels.vector.math.Passes;
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

  private static final Passes<float[]> SILU = new Passes<>(List.of(VectorTokenKernels::silu));

  private final ThreadLocal<float[]> sums = ThreadLocal.withInitial(() -> new float[0]);
  private final ThreadLocal<MlstmToken> mlstm = ThreadLocal.withInitial(MlstmToken::new);
  private final ThreadLocal<SlstmToken> slstm = ThreadLocal.withInitial(SlstmToken::new);

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xAt,
      MemorySegment tail,
      long tailAt,
      MemorySegment y,
      long yAt) {
    int channels = convolution.channels();
    int history = convolution.taps() - 1;
    MemorySegment weight = convolution.weight();
    float[] sums = sums(channels);
    SegmentVectors.read(convolution.bias(), 0, sums, 0, channels);
    for (int tap = 0; tap < history; tap++) {
      long at = (long) tap * channels;
      addProduct(channels, weight, at, tail, tailAt + at, sums);
      if (tap > 0) {
        copy(channels, tail, tailAt + at, tail, tailAt + at - channels);
      }
    }
    long last = (long) history * channels;
    addProduct(channels, weight, last, x, xAt, sums);
    if (history > 0) {
      copy(channels, x, xAt, tail, tailAt + last - channels);
    }
    SILU.run(sums);
    SegmentVectors.write(sums, 0, y, yAt, channels);
  }

  /// This thread's memory for as many floats, up to whole vectors.
  private float[] sums(int count) {
    float[] have = sums.get();
    if (have.length < count) {
      have = new float[LaneMath.padded(count)];
      sums.set(have);
    }
    return have;
  }

  private static void copy(int count, MemorySegment from, long at, MemorySegment to, long start) {
    MemorySegment.copy(from, at * Float.BYTES, to, start * Float.BYTES, (long) count * Float.BYTES);
  }

  /// `y += a b`
  private static void addProduct(
      int count, MemorySegment a, long aAt, MemorySegment b, long bAt, float[] y) {
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      FloatVector.fromMemorySegment(LANES, a, (aAt + i) * Float.BYTES, ORDER)
          .fma(
              FloatVector.fromMemorySegment(LANES, b, (bAt + i) * Float.BYTES, ORDER),
              FloatVector.fromArray(LANES, y, i))
          .intoArray(y, i);
    }
    for (; i < count; i++) {
      y[i] = Math.fma(get(a, aAt + i), get(b, bAt + i), y[i]);
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
      Mlstm cell, MlstmRows rows, int row, int head, MemorySegment state, long stateAt) {
    mlstm.get().run(cell, rows, row, head, state, stateAt);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    slstm.get().run(cell, gates, gatesAt, state, stateAt);
  }
}
