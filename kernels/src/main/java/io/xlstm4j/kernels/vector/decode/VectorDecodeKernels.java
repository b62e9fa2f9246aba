package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.DecodeKernels;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.StoredLinearKernel;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.Lazy;
import org.jspecify.annotations.Nullable;

/// The forward-only kernels on the Vector API, lane by lane in plain Java until the warm-up is
/// done.
public final class VectorDecodeKernels implements DecodeKernels {
  private final @Nullable JitWarmUp jitWarmUp;
  private final PositionKernels positions;
  private final TokenKernels tokens;

  /// @param cold whether to begin lane by lane; else the vectors are used at once
  public VectorDecodeKernels(KernelThreads threads, boolean cold) {
    if (cold) {
      var vectorPositions = new Lazy<PositionKernels>(VectorPositionKernels::new);
      var vectorTokens = new Lazy<TokenKernels>(VectorTokenKernels::new);
      jitWarmUp = new JitWarmUp(threads, vectorPositions, vectorTokens);
      positions = new JitPositionKernels(jitWarmUp, vectorPositions);
      tokens = new JitTokenKernels(jitWarmUp, vectorTokens);
    } else {
      jitWarmUp = null;
      positions = new VectorPositionKernels();
      tokens = new VectorTokenKernels();
    }
  }

  @Override
  public PositionKernels positions() {
    return positions;
  }

  @Override
  public TokenKernels tokens() {
    return tokens;
  }

  @Override
  public StoredLinearKernel storedLinear(KernelThreads threads) {
    return new VectorStoredLinearKernel(threads, jitWarmUp);
  }

  @Override
  public void warmUpJit() {
    if (jitWarmUp != null) {
      jitWarmUp.begin();
    }
  }

  @Override
  public boolean jitWarmUpHasBegun() {
    return jitWarmUp == null || jitWarmUp.hasBegun();
  }
}
