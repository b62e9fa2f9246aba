package io.xlstm4j.torch;

import io.xlstm4j.kernels.Kernels;
import java.util.function.Supplier;

/// The operations on our own kernels that a model uses, all on one choice of [Kernels].
///
/// @param cellsAlone on the calling thread, for work that is too little to share; so is
///   `layersAlone`
record FusedKernels(
    Kernels kernels,
    FusedCells cells,
    FusedCells cellsAlone,
    FusedBlocks blocks,
    FusedHead head,
    FusedLayers layers,
    FusedLayers layersAlone) {
  private static final FusedKernels SHARED = of(Kernels.shared());
  private static final ScopedValue<FusedKernels> CHOSEN = ScopedValue.newInstance();

  private static FusedKernels of(Kernels kernels) {
    return new FusedKernels(
        kernels,
        new FusedCells(kernels),
        new FusedCells(kernels.singleThreaded()),
        new FusedBlocks(kernels),
        new FusedHead(kernels),
        new FusedLayers(kernels),
        new FusedLayers(kernels.singleThreaded()));
  }

  /// Returns those that a model built now is to use: the shared ones, unless [#using] runs.
  static FusedKernels current() {
    return CHOSEN.orElse(SHARED);
  }

  /// Runs `body`, in which models are built on other kernels than the shared ones.
  static <T> T using(Kernels kernels, Supplier<T> body) {
    return ScopedValue.where(CHOSEN, of(kernels)).call(body::get);
  }
}
