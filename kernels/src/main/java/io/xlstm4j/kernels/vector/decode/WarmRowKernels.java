package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.FloatRows;
import io.xlstm4j.kernels.RowKernels;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.vector.decode.WarmUp.Use;
import java.lang.foreign.MemorySegment;

/// [VectorRowKernels] once a [WarmUp] is done, [LaneRowKernels] before: the same bits.
final class WarmRowKernels implements RowKernels {
  private final WarmUp warmUp;
  private final RowKernels lanes = new LaneRowKernels();
  private final Lazy<RowKernels> vectors;

  WarmRowKernels(WarmUp warmUp, Lazy<RowKernels> vectors) {
    this.warmUp = warmUp;
    this.vectors = vectors;
  }

  private RowKernels now(Object use) {
    if (warmUp.isDone()) {
      return vectors.get();
    }
    warmUp.use(use);
    return lanes;
  }

  @Override
  public void normalize(int first, int end, Norm norm, FloatRows x, FloatRows y) {
    now(norm.centered() ? Use.LAYER_NORM : Use.RMS_NORM).normalize(first, end, norm, x, y);
  }

  @Override
  public void gate(
      int first,
      int end,
      int width,
      Activation activation,
      FloatRows gate,
      FloatRows up,
      FloatRows y) {
    now(activation).gate(first, end, width, activation, gate, up, y);
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, FloatRows x, FloatRows y) {
    now(Use.ADD_SCALED).addScaled(first, end, width, scale, x, y);
  }

  @Override
  public void softCap(int first, int end, int width, float cap, FloatRows x) {
    now(Use.SOFT_CAP).softCap(first, end, width, cap, x);
  }

  @Override
  public void headwise(int first, int end, Headwise projection, FloatRows x, FloatRows y) {
    now(Use.HEADWISE).headwise(first, end, projection, x, y);
  }
}
