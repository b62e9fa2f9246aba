package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.vector.decode.JitWarmUp.Use;
import java.lang.foreign.MemorySegment;

/// [VectorTokenKernels] once a [JitWarmUp] is done, [PreJitTokenKernels] before: the same bits.
final class JitTokenKernels implements TokenKernels {
  private final JitWarmUp jitWarmUp;
  private final TokenKernels lanes = new PreJitTokenKernels();
  private final Lazy<TokenKernels> vectors;

  JitTokenKernels(JitWarmUp jitWarmUp, Lazy<TokenKernels> vectors) {
    this.jitWarmUp = jitWarmUp;
    this.vectors = vectors;
  }

  private TokenKernels now(Object use) {
    if (jitWarmUp.isDone()) {
      return vectors.get();
    }
    jitWarmUp.use(use);
    return lanes;
  }

  @Override
  public void convolve(
      Convolution convolution,
      MemorySegment x,
      long xOffset,
      MemorySegment tail,
      long tailOffset,
      MemorySegment y,
      long yOffset) {
    now(Use.CONVOLUTION).convolve(convolution, x, xOffset, tail, tailOffset, y, yOffset);
  }

  @Override
  public void mlstm(
      Mlstm cell, MlstmOperands rows, int row, int head, MemorySegment state, long stateOffset) {
    now(Use.MLSTM).mlstm(cell, rows, row, head, state, stateOffset);
  }

  @Override
  public void slstm(
      Slstm cell, MemorySegment gates, long gatesOffset, MemorySegment state, long stateOffset) {
    now(Use.SLSTM).slstm(cell, gates, gatesOffset, state, stateOffset);
  }
}
