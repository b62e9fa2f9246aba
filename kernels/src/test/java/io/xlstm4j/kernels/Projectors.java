package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.Workers;
import io.xlstm4j.kernels.reference.ReferenceKernels;
import io.xlstm4j.kernels.vector.VectorKernels;

/// Projectors of either kind.
final class Projectors {
  private Projectors() {}

  static Projector of(Workers workers, boolean vectorized) {
    KernelProvider provider = vectorized ? new VectorKernels() : new ReferenceKernels();
    return provider.decode(workers, false).projector(workers);
  }
}
