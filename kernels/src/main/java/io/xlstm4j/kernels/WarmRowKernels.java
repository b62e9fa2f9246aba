package io.xlstm4j.kernels;

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

  private RowKernels now() {
    return warmUp.isDone() ? vectors.get() : lanes;
  }

  @Override
  public void normalize(int first, int end, Norm norm, FloatRows x, FloatRows y) {
    now().normalize(first, end, norm, x, y);
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
    now().gate(first, end, width, activation, gate, up, y);
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, FloatRows x, FloatRows y) {
    now().addScaled(first, end, width, scale, x, y);
  }

  @Override
  public void softCap(int first, int end, int width, float cap, FloatRows x) {
    now().softCap(first, end, width, cap, x);
  }

  @Override
  public void headwise(int first, int end, Headwise projection, FloatRows x, FloatRows y) {
    now().headwise(first, end, projection, x, y);
  }
}
