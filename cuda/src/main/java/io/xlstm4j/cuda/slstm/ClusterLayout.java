package io.xlstm4j.cuda.slstm;

import io.xlstm4j.cuda.cell.ElementType;
import io.xlstm4j.cuda.driver.Launch;
import java.util.ArrayList;
import java.util.List;

/// How the cluster kernel divides a head, and what that takes: blocks, warps and shared memory, in
/// the order of bytes that `cluster_forward.cuh` and `cluster_backward.cuh` describe.
///
/// @param shape the cell's sizes
/// @param planes bfloat16 values for one value of the element type
/// @param blocks C, blocks of a cluster
/// @param warps W, warps of a block; each has a tile of eight units
/// @param forwardSharedSteps k-steps of the recurrent kernel that lie in shared memory; the others
///   come from the L2 cache
/// @param backwardSharedSteps the same of the backward kernel
record ClusterLayout(
    SlstmShape shape,
    int planes,
    int blocks,
    int warps,
    int forwardSharedSteps,
    int backwardSharedSteps) {
  /// Sequences of a cluster.
  static final int SEQUENCES = 16;

  /// Units of a warp.
  private static final int TILE = 8;

  private static final int TILE_BYTES = SEQUENCES * TILE * 2;
  private static final int STEP_BYTES = 1024;
  private static final int PART_BYTES = 512;
  private static final int BARRIER_BYTES = 8;
  private static final int MOST_WARPS = 8;
  private static final int GOOD_WARPS = 4;
  private static final int SMALLEST_CLUSTER = 2;
  private static final int LARGEST_PORTABLE_CLUSTER = 8;
  private static final int LARGEST_CLUSTER = 16;

  /// The layouts to try, the best first. At most four warps a block and eight blocks while all of
  /// the recurrent kernel lies in shared memory; sixteen blocks, which not every chip grants, where
  /// it would not.
  static List<ClusterLayout> candidates(SlstmShape shape, ElementType type, int sharedLimit) {
    int tiles = ceil(shape.headDim(), TILE);
    int blocks = SMALLEST_CLUSTER;
    while (ceil(tiles, blocks) > GOOD_WARPS && blocks < LARGEST_PORTABLE_CLUSTER) {
      blocks *= 2;
    }
    var layouts = new ArrayList<ClusterLayout>();
    for (int c :
        blocks == LARGEST_PORTABLE_CLUSTER
            ? new int[] {blocks, LARGEST_CLUSTER}
            : new int[] {blocks}) {
      int warps = ceil(tiles, c);
      if (warps <= MOST_WARPS) {
        layouts.add(of(shape, type, c, warps, sharedLimit));
      }
    }
    layouts.sort((a, b) -> Boolean.compare(b.isAllShared(), a.isAllShared())); // stable
    return layouts;
  }

  static ClusterLayout of(
      SlstmShape shape, ElementType type, int blocks, int warps, int sharedLimit) {
    var all = new ClusterLayout(shape, type.planes(), blocks, warps, 0, 0);
    int perStep = warps * STEP_BYTES * type.planes();
    return new ClusterLayout(
        shape,
        type.planes(),
        blocks,
        warps,
        Math.min(all.forwardSteps(), (sharedLimit - all.forwardSharedBytes()) / perStep & ~1),
        Math.min(all.backwardSteps(), (sharedLimit - all.backwardSharedBytes()) / perStep & ~1));
  }

  /// Returns whether all of the recurrent kernel lies in shared memory, both ways.
  boolean isAllShared() {
    return forwardSharedSteps == forwardSteps() && backwardSharedSteps == backwardSteps();
  }

  /// Tiles of eight inputs of a head, a multiple of 4.
  private int inputTiles() {
    return ceil(shape.headDim(), 32) * 4;
  }

  private int forwardSteps() {
    return inputTiles() / 2;
  }

  private int backwardSteps() {
    return ceil(blocks, 4) * 2 * warps;
  }

  int forwardSharedBytes() {
    return 2 * planes * inputTiles() * TILE_BYTES
        + warps * forwardSharedSteps * STEP_BYTES * planes
        + 2 * BARRIER_BYTES;
  }

  int backwardSharedBytes() {
    return 2 * planes * 4 * warps * TILE_BYTES
        + 2 * warps * blocks * PART_BYTES
        + warps * backwardSharedSteps * STEP_BYTES * planes
        + 2 * warps * BARRIER_BYTES;
  }

  /// Bytes of the recurrent kernel in the order of the matrix units, for the forward or the
  /// backward kernel.
  long fragmentBytes(boolean forward) {
    return (long) shape.heads()
        * blocks
        * warps
        * (forward ? forwardSteps() : backwardSteps())
        * STEP_BYTES
        * planes;
  }

  int batchTiles() {
    return ceil(shape.batch(), SEQUENCES);
  }

  /// Six values for each unit and token, with the tiles' padding.
  long savedBytes(ElementType type) {
    return (long) shape.length()
        * shape.heads()
        * batchTiles()
        * blocks
        * warps
        * SEQUENCES
        * TILE
        * 6
        * type.bytes();
  }

  Launch forwardLaunch() {
    return launch(forwardSharedBytes());
  }

  Launch backwardLaunch() {
    return launch(backwardSharedBytes());
  }

  private Launch launch(int sharedBytes) {
    return new Launch(blocks, shape.heads(), batchTiles(), warps * 32, 1, sharedBytes, blocks);
  }

  private static int ceil(int count, int by) {
    return (count + by - 1) / by;
  }
}
