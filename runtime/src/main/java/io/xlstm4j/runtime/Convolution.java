package io.xlstm4j.runtime;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.TokenKernels;
import java.lang.foreign.MemorySegment;

/// The causal convolution of a block of the paper family, with its SiLU.
final class Convolution {
  private final Workspace work;
  private final TokenKernels.Convolution byToken;
  private final MemorySegment weight; // (C, K), as the kernel for runs reads it
  private final MemoryMatrix x;
  private final MemoryMatrix y;
  private final int stateAt;
  private final MemorySegment nextTail;

  /// @param x `(tokens, C)` without gaps
  /// @param y the same, other memory
  Convolution(
      Workspace work,
      Weights weights,
      StateLayout layout,
      String name,
      String statePrefix,
      int kernelSize,
      MemoryMatrix x,
      MemoryMatrix y) {
    this.work = work;
    this.x = x;
    this.y = y;
    int channels = x.stride();
    float[] stored = weights.floats(name + ".weight");
    float[] byTap = new float[stored.length];
    for (int c = 0; c < channels; c++) {
      for (int tap = 0; tap < kernelSize; tap++) {
        byTap[tap * channels + c] = stored[c * kernelSize + tap];
      }
    }
    weight = weights.copy(stored);
    byToken =
        new TokenKernels.Convolution(
            channels, kernelSize, weights.copy(byTap), weights.vector(name + ".bias"));
    stateAt = layout.add(statePrefix + "conv", kernelSize - 1, channels);
    nextTail = weights.arena().allocate(Float.BYTES * (kernelSize - 1L) * channels, 64);
  }

  void forward() {
    int channels = byToken.channels();
    if (work.isByToken()) {
      for (int token = 0; token < work.tokens(); token++) {
        work.kernels
            .tokens()
            .convolve(
                byToken,
                x.data(),
                x.row(token),
                work.stateOf(token),
                stateAt,
                y.data(),
                y.row(token));
      }
      return;
    }
    var size = new CausalConvKernel.Size(1, work.tokens(), channels, byToken.kernelSize());
    MemorySegment tail =
        MlstmCell.slice(work.stateOf(0), stateAt, (byToken.kernelSize() - 1L) * channels);
    var inputs =
        new CausalConvKernel.Inputs(work.whole(x), weight, byToken.bias(), tail, null, null);
    work.kernels
        .causalConv()
        .forward(size, inputs, work.whole(y), nextTail, work.kernels.threads());
    tail.copyFrom(nextTail);
  }
}
