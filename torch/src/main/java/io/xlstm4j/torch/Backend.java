package io.xlstm4j.torch;

import java.util.Locale;

/// The implementation that computes the cells.
public enum Backend {
  /// our kernels where they can: on the CPU in float32, on GPUs the sLSTM cell; elsewhere libtorch
  FUSED,
  /// libtorch operations always: the reference
  LIBTORCH;

  /// The name in files.
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
