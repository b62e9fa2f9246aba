package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.vector.decode.WarmUp.Use;
import java.lang.foreign.MemorySegment;

/// [VectorTokenKernels] once a [WarmUp] is done, [LaneTokenKernels] before: the same bits.
final class WarmTokenKernels implements TokenKernels {
  private final WarmUp warmUp;
  private final TokenKernels lanes = new LaneTokenKernels();
  private final Lazy<TokenKernels> vectors;

  WarmTokenKernels(WarmUp warmUp, Lazy<TokenKernels> vectors) {
    this.warmUp = warmUp;
    this.vectors = vectors;
  }

  private TokenKernels now(Object use) {
    if (warmUp.isDone()) {
      return vectors.get();
    }
    warmUp.use(use);
    return lanes;
  }

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xAt,
      MemorySegment tail,
      long tailAt,
      MemorySegment y,
      long yAt) {
    now(Use.CONVOLUTION).convolve(convolution, x, xAt, tail, tailAt, y, yAt);
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmRows rows, int row, int head, MemorySegment state, long stateAt) {
    now(Use.MLSTM).mlstm(cell, rows, row, head, state, stateAt);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesAt, MemorySegment state, long stateAt) {
    now(Use.SLSTM).slstm(cell, gates, gatesAt, state, stateAt);
  }
}
