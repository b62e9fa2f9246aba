package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.Workers;

/// The forward-only kernels that compute tokens, and their warm-up.
public interface DecodeKernels {
  /// The kernels of rows.
  RowKernels rows();

  /// The kernels of single tokens.
  TokenKernels tokens();

  /// Returns products with matrices as they lie in a file, computed by `workers`.
  Projector projector(Workers workers);

  /// Starts the warm-up, unless it has started before or is not needed.
  void warmUp();

  /// Whether [#warmUp] was called, or was never needed.
  boolean warmUpHasBegun();
}
