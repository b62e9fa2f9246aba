package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.Kernels;
import io.xlstm4j.kernels.LinearKernel;
import io.xlstm4j.kernels.StridedMatrix;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The gradients of several weights over the same rows. Small ones side by side, a thread each;
/// large ones one after the other, shared by all.
final class WeightGradients {
  /// Weights up to this size have too few parts to share.
  private static final long SMALL = 4 * 128 * 128;

  private final Kernels kernels;
  private final List<Product> small = new ArrayList<>();
  private final List<Product> large = new ArrayList<>();

  WeightGradients(Kernels kernels) {
    this.kernels = kernels;
  }

  private record Product(
      LinearKernel.Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias) {
    void run(Kernels kernels) {
      kernels.linear().backwardWeight(size, x, dy, dw, dBias, kernels.threads());
    }
  }

  /// As [LinearKernel#backwardWeight]. The longest of the small ones should come first.
  WeightGradients add(
      LinearKernel.Size size,
      StridedMatrix x,
      StridedMatrix dy,
      MemorySegment dw,
      @Nullable MemorySegment dBias) {
    boolean few = (long) size.in() * size.out() <= SMALL;
    (few ? small : large).add(new Product(size, x, dy, dw, dBias));
    return this;
  }

  void run() {
    large.forEach(product -> product.run(kernels));
    kernels.threads().run(small.size(), number -> small.get(number).run(kernels.singleThreaded()));
  }
}
