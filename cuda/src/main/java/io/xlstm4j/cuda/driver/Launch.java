package io.xlstm4j.cuda.driver;

/// How many blocks and threads a kernel gets.
///
/// @param gridX blocks along x, as `gridY` and `gridZ`
/// @param blockX threads of a block along x, as `blockY`
/// @param sharedBytes dynamic shared memory of a block
/// @param clusterX blocks of a cluster along x; 1 for none
public record Launch(
    int gridX, int gridY, int gridZ, int blockX, int blockY, int sharedBytes, int clusterX) {
  private static final int LARGEST_YZ = 65_535;

  public Launch {
    if (gridX < 1 || gridY < 1 || gridZ < 1 || gridY > LARGEST_YZ || gridZ > LARGEST_YZ) {
      throw new IllegalArgumentException(
          "a grid of %d x %d x %d blocks: each must be positive, and y and z at most %d"
              .formatted(gridX, gridY, gridZ, LARGEST_YZ));
    }
    if (blockX < 1 || blockY < 1 || (long) blockX * blockY > 1024) {
      throw new IllegalArgumentException(
          "a block of %d x %d threads: from 1 to 1,024 are possible".formatted(blockX, blockY));
    }
    if (sharedBytes < 0 || clusterX < 1 || gridX % clusterX != 0) {
      throw new IllegalArgumentException(
          "%d bytes of shared memory, clusters of %d blocks along %d"
              .formatted(sharedBytes, clusterX, gridX));
    }
  }

  /// A row of blocks without shared memory of dynamic size.
  public static Launch of(int blocks, int threads) {
    return new Launch(blocks, 1, 1, threads, 1, 0, 1);
  }

  /// Enough blocks of 256 threads for one thread an element.
  public static Launch elements(long count) {
    return of(Math.toIntExact((count + 255) / 256), 256);
  }
}
