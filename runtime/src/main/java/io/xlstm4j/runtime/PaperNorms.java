package io.xlstm4j.runtime;

import io.xlstm4j.kernels.PositionKernels.Norm;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// The norms of the paper family (docs/math.md 3.1).
final class PaperNorms {
  private static final float EPSILON = 1e-5f;

  private PaperNorms() {}

  static Norm of(int heads, int headDim, @Nullable MemorySegment scale) {
    return new Norm(heads, headDim, true, EPSILON, scale, null);
  }
}
