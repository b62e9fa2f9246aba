package io.xlstm4j.kernels;

import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.ReferenceKernels;
import io.xlstm4j.kernels.vector.VectorKernels;

/// StoredLinearKernels of either kind.
final class StoredLinearKernels {
  private StoredLinearKernels() {}

  static StoredLinearKernel of(KernelThreads threads, boolean vectorized) {
    KernelProvider provider = vectorized ? new VectorKernels() : new ReferenceKernels();
    return provider.decode(threads, false).storedLinear(threads);
  }
}
