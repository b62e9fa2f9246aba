package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.CudaFunction;
import io.xlstm4j.cuda.driver.CudaStream;
import io.xlstm4j.cuda.driver.Launch;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Launches the kernels of products for one call.
final class MlstmProducts {
  private static final int TILE = 128;

  private static final int GENERAL_THREADS = 256;
  private static final int GENERAL_OPERAND_BYTES = TILE * 32 * 2;
  private static final int GENERAL_STAGES = 4;
  private static final int GENERAL_STAGES_OF_TWO_PLANES = 3;

  private static final int HOPPER_THREADS = 288;
  private static final int HOPPER_STAGE_BYTES = 2 * TILE * 64 * 2;
  private static final int HOPPER_STAGES = 3;
  private static final int HOPPER_ALIGNMENT = 1024;

  private final MlstmKernels kernels;
  private final MlstmShape shape;
  private final ElementType type;
  private final MlstmChunks chunks;
  private final CudaStream stream;
  private final MemorySegment arguments;
  private final @Nullable MemorySegment maps;

  /// @param maps for the kernels of [MlstmVariant#HOPPER]; null for the general ones
  MlstmProducts(
      MlstmKernels kernels,
      MlstmShape shape,
      ElementType type,
      MlstmChunks chunks,
      CudaStream stream,
      MemorySegment arguments,
      @Nullable MemorySegment maps) {
    this.kernels = kernels;
    this.shape = shape;
    this.type = type;
    this.chunks = chunks;
    this.stream = stream;
    this.arguments = arguments;
    this.maps = maps;
  }

  static Launch launchOf(MlstmVariant variant, ElementType type, int x, int y, int z) {
    if (variant == MlstmVariant.HOPPER) {
      int bytes = HOPPER_STAGES * HOPPER_STAGE_BYTES + HOPPER_ALIGNMENT;
      return new Launch(x, y, z, HOPPER_THREADS, 1, bytes, 1);
    }
    int stages = type.planes() == 1 ? GENERAL_STAGES : GENERAL_STAGES_OF_TWO_PLANES;
    int bytes = stages * 2 * type.planes() * GENERAL_OPERAND_BYTES;
    return new Launch(x, y, z, GENERAL_THREADS, 1, bytes, 1);
  }

  /// Returns whether the kernel of states gives tokens their weights itself.
  boolean weigh() {
    return maps != null;
  }

  /// C at the start of every chunk, or its gradient at the end of every chunk.
  ///
  /// @param added only what each segment adds
  void states(boolean backward, boolean added) {
    Launch launch = launch(MlstmPlan.stateTiles(shape), shape.pairs(), chunks.segments());
    if (maps == null) {
      function("states").launch(stream, launch, arguments, backward ? 1 : 0, added ? 1 : 0);
    } else {
      function("states").launch(stream, launch, arguments, maps, backward ? 1 : 0, added ? 1 : 0);
    }
  }

  /// Computes the products between the tokens of a chunk.
  void scores(String name) {
    launch(name, launch(chunks.length() / TILE, chunks.number(), shape.pairs()));
  }

  /// One value for each token and column of the results.
  void results(String name, int columnTiles) {
    int rowTiles = chunks.number() * (chunks.length() / TILE);
    launch(name, launch(rowTiles * columnTiles, shape.pairs(), 1));
  }

  private void launch(String name, Launch launch) {
    if (maps == null) {
      function(name).launch(stream, launch, arguments);
    } else {
      function(name).launch(stream, launch, arguments, maps);
    }
  }

  private Launch launch(int x, int y, int z) {
    return launchOf(variant(), type, x, y, z);
  }

  private CudaFunction function(String name) {
    return kernels.product(variant(), type.kernel(name));
  }

  private MlstmVariant variant() {
    return maps == null ? MlstmVariant.GENERAL : MlstmVariant.HOPPER;
  }
}
