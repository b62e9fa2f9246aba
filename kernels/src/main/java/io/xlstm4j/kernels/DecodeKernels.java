package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;

/// The forward-only kernels that compute tokens, and their warm-up.
public interface DecodeKernels {
  /// The kernels of rows.
  PositionKernels positions();

  /// The kernels of single tokens.
  TokenKernels tokens();

  /// Returns products with matrices as they lie in a file, computed by `threads`.
  StoredLinearKernel storedLinear(KernelThreads threads);

  /// Starts the warm-up, unless it has started before or is not needed.
  void warmUpJit();

  /// Returns whether [#warmUpJit] was called, or was never needed.
  boolean jitWarmUpHasBegun();
}
