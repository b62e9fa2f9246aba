package io.xlstm4j.torch;

import java.util.Locale;

/// The type in which projections are computed (mixed precision); gates before their activation,
/// states, norms, the residual stream, the loss and the parameters are float32 either way (spec
/// 8.3).
public enum Precision {
  FLOAT32,
  /// on libtorch operations only: backend [Backend#LIBTORCH], or a GPU
  BFLOAT16;

  /// The name in files.
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
