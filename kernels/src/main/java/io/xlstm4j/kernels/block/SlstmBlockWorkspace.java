package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.block.SlstmBlockKernel.FeedForward;
import io.xlstm4j.kernels.block.SlstmBlockKernel.Size;
import io.xlstm4j.kernels.block.SlstmBlockKernel.Weights;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;

/// The layout of the memory of [SlstmBlockKernel]: what is kept from one pass to the other, and the
/// scratch of each. B, S, D and U as there; R are the B x S positions.
final class SlstmBlockWorkspace {
  private SlstmBlockWorkspace() {}

  /// The saved activations of all sequences or of a group.
  record Saved(
      MemorySegment normStatistics,
      MemorySegment convolved, // (R, D)
      MemorySegment cell,
      MemorySegment h, // (R, D), of the cell
      MemorySegment headStatistics,
      MemorySegment y, // (R, D), between the two halves
      MemorySegment feedStatistics,
      MemorySegment both) { // (R, 2 U)
    static Saved in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      boolean feeds = size.up() > 0;
      return new Saved(
          from.floats(rows * 2),
          from.floats(rows * size.dim()),
          from.bytes(cellBytes),
          from.floats(rows * size.dim()),
          from.floats(rows * 2 * size.heads()),
          from.floats(feeds ? rows * size.dim() : 0),
          from.floats(feeds ? rows * 2 : 0),
          from.floats(rows * 2 * size.up()));
    }

    /// @param cellBytes of the group: the cell's memory is not by rows
    Saved of(SequenceGroups.Group group, long cellBytes) {
      return new Saved(
          group.of(normStatistics),
          group.of(convolved),
          cell.asSlice(group.number() * (cell.byteSize() / group.groups()), cellBytes),
          group.of(h),
          group.of(headStatistics),
          group.of(y),
          group.of(feedStatistics),
          group.of(both));
    }
  }

  /// Scratch of a group's forward pass.
  record Forward(
      MemorySegment normed, // (R, D), of either half
      MemorySegment wx, // (R, 4, D)
      MemorySegment dropped, // (R, D)
      MemorySegment headNormed, // (R, D)
      MemorySegment active) { // (R, U)
    static Forward in(Workspace from, Size size) {
      long rows = size.rows();
      return new Forward(
          from.floats(rows * size.dim()),
          from.floats(rows * 4 * size.dim()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.up()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }

  /// The operands of the products that run over all groups at once.
  record Shared(
      MemorySegment branch, // (R, D), gradient of the branch where there is dropout
      MemorySegment active, // (R, U)
      MemorySegment feedNormed, // (R, D)
      MemorySegment dBoth, // (R, 2 U)
      MemorySegment sums) { // (groups, small weights)
    static Shared in(Workspace from, Size size, boolean drops) {
      long rows = size.rows();
      boolean feeds = size.up() > 0;
      return new Shared(
          from.floats(drops ? rows * size.dim() : 0),
          from.floats(rows * size.up()),
          from.floats(feeds ? rows * size.dim() : 0),
          from.floats(rows * 2 * size.up()),
          from.bytes(size.cut().groups() * smallBytes(size)));
    }

    Shared of(SequenceGroups.Group group) {
      return new Shared(
          group.of(branch), group.of(active), group.of(feedNormed), group.of(dBoth), sums);
    }
  }

  /// Gradients of the weights that each group sums for itself: all but the feed-forward's matrices.
  static Weights small(Workspace from, Size size) {
    long gate = (long) size.dim() * (size.dim() / size.heads());
    return new Weights(
        from.floats(size.dim()),
        from.floats((long) size.dim() * size.kernelSize()),
        from.floats(size.dim()),
        from.floats(gate),
        from.floats(gate),
        from.floats(gate),
        from.floats(gate),
        from.floats(4 * gate),
        from.floats(4L * size.dim()),
        from.floats(size.dim()),
        new FeedForward(from.floats(size.dim()), MemorySegment.NULL, MemorySegment.NULL));
  }

  static long smallBytes(Size size) {
    Workspace counting = Workspace.counting();
    small(counting, size);
    return counting.size();
  }

  /// Scratch of a group's backward pass: gradients, and what is computed again.
  record Backward(
      MemorySegment normed, // (R, D)
      MemorySegment dropped, // (R, D)
      MemorySegment dActive, // (R, U)
      MemorySegment dNormed, // (R, D), of either half
      MemorySegment dY, // (R, D)
      MemorySegment dH, // (R, D)
      MemorySegment dWx, // (R, 4, D)
      MemorySegment dConvolved) { // (R, D)
    static Backward in(Workspace from, Size size) {
      long rows = size.rows();
      return new Backward(
          from.floats(rows * size.dim()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.up()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.dim()),
          from.floats(rows * 4 * size.dim()),
          from.floats(rows * size.dim()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }
}
