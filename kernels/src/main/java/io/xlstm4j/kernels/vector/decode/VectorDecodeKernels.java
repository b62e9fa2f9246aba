package io.xlstm4j.kernels.vector.decode;

import io.xlstm4j.kernels.DecodeKernels;
import io.xlstm4j.kernels.Projector;
import io.xlstm4j.kernels.RowKernels;
import io.xlstm4j.kernels.TokenKernels;
import io.xlstm4j.kernels.memory.Lazy;
import io.xlstm4j.kernels.memory.Workers;
import org.jspecify.annotations.Nullable;

/// The forward-only kernels on the Vector API, lane by lane in plain Java until the warm-up is
/// done.
public final class VectorDecodeKernels implements DecodeKernels {
  private final @Nullable WarmUp warmUp;
  private final RowKernels rows;
  private final TokenKernels tokens;

  /// @param cold whether to begin lane by lane; else the vectors are used at once
  public VectorDecodeKernels(Workers workers, boolean cold) {
    if (cold) {
      var vectorRows = new Lazy<RowKernels>(VectorRowKernels::new);
      var vectorTokens = new Lazy<TokenKernels>(VectorTokenKernels::new);
      warmUp = new WarmUp(workers, vectorRows, vectorTokens);
      rows = new WarmRowKernels(warmUp, vectorRows);
      tokens = new WarmTokenKernels(warmUp, vectorTokens);
    } else {
      warmUp = null;
      rows = new VectorRowKernels();
      tokens = new VectorTokenKernels();
    }
  }

  @Override
  public RowKernels rows() {
    return rows;
  }

  @Override
  public TokenKernels tokens() {
    return tokens;
  }

  @Override
  public Projector projector(Workers workers) {
    return new VectorProjector(workers, warmUp);
  }

  @Override
  public void warmUp() {
    if (warmUp != null) {
      warmUp.begin();
    }
  }

  @Override
  public boolean warmUpHasBegun() {
    return warmUp == null || warmUp.hasBegun();
  }
}
