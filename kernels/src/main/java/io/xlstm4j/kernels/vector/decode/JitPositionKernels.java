package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.vector.decode.JitWarmUp.Use;
import java.lang.foreign.MemorySegment;

/// [VectorPositionKernels] once a [JitWarmUp] is done, [PreJitPositionKernels] before: the same
/// bits.
final class JitPositionKernels implements PositionKernels {
  private final JitWarmUp jitWarmUp;
  private final PositionKernels lanes = new PreJitPositionKernels();
  private final Lazy<PositionKernels> vectors;

  JitPositionKernels(JitWarmUp jitWarmUp, Lazy<PositionKernels> vectors) {
    this.jitWarmUp = jitWarmUp;
    this.vectors = vectors;
  }

  private PositionKernels now(Object use) {
    if (jitWarmUp.isDone()) {
      return vectors.get();
    }
    jitWarmUp.use(use);
    return lanes;
  }

  @Override
  public void normalize(int first, int end, Norm norm, MemoryMatrix x, MemoryMatrix y) {
    now(norm.centered() ? Use.LAYER_NORM : Use.RMS_NORM).normalize(first, end, norm, x, y);
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
    now(activation).gate(first, end, width, activation, gate, up, y);
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y) {
    now(Use.ADD_SCALED).addScaled(first, end, width, scale, x, y);
  }

  @Override
  public void softCap(int first, int end, int width, float cap, MemoryMatrix x) {
    now(Use.SOFT_CAP).softCap(first, end, width, cap, x);
  }

  @Override
  public void headwise(int first, int end, Headwise projection, MemoryMatrix x, MemoryMatrix y) {
    now(Use.HEADWISE).headwise(first, end, projection, x, y);
  }
}
