package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.block.SlstmLayerKernel.Dims;
import io.xlstm4j.kernels.block.SlstmLayerKernel.Size;
import io.xlstm4j.kernels.block.SlstmLayerKernel.Weights;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;

/// The layout of the memory of [SlstmLayerKernel]: what is kept from one pass to the other, and the
/// scratch of each. B, S and D as there; R are the B x S positions.
final class SlstmLayerWorkspace {
  private SlstmLayerWorkspace() {}

  /// The saved activations of all sequences or of a group.
  record Saved(
      MemorySegment normStatistics,
      MemorySegment convolved, // (R, D)
      MemorySegment cell,
      MemorySegment h, // (R, H), of the cell
      MemorySegment headStatistics,
      MemorySegment both) { // (R, 2 U)
    static Saved in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      Dims dims = size.dims();
      return new Saved(
          from.floats(rows * 2),
          from.floats(rows * dims.dim()),
          from.bytes(cellBytes),
          from.floats(rows * dims.hidden()),
          from.floats(rows * 2 * dims.heads()),
          from.floats(rows * 2 * dims.up()));
    }

    /// @param cellBytes of the group: the cell's memory is not by rows
    Saved of(SequenceGroups.Group group, long cellBytes) {
      return new Saved(
          group.of(normStatistics),
          group.of(convolved),
          cell.asSlice(group.number() * (cell.byteSize() / group.groups()), cellBytes),
          group.of(h),
          group.of(headStatistics),
          group.of(both));
    }
  }

  /// Scratch of a group's forward pass.
  record Forward(
      MemorySegment normed, // (R, D)
      MemorySegment wx, // (R, 4, H)
      MemorySegment headNormed, // (R, H)
      MemorySegment active) { // (R, U)
    static Forward in(Workspace from, Size size) {
      long rows = size.rows();
      Dims dims = size.dims();
      return new Forward(
          from.floats(rows * dims.dim()),
          from.floats(rows * 4 * dims.hidden()),
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.up()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }

  /// The operands of the products that run over all groups at once.
  record Shared(
      MemorySegment normed, // (R, D)
      MemorySegment headNormed, // (R, H)
      MemorySegment active, // (R, U)
      MemorySegment dBoth, // (R, 2 U)
      MemorySegment dWx, // (R, 4, H)
      MemorySegment sums) { // (groups, small weights)
    static Shared in(Workspace from, Size size) {
      long rows = size.rows();
      Dims dims = size.dims();
      return new Shared(
          from.floats(rows * dims.dim()),
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.up()),
          from.floats(rows * 2 * dims.up()),
          from.floats(rows * 4 * dims.hidden()),
          from.bytes(size.cut().groups() * smallBytes(dims)));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size);
      return counting.size();
    }

    Shared of(SequenceGroups.Group group) {
      return new Shared(
          group.of(normed),
          group.of(headNormed),
          group.of(active),
          group.of(dBoth),
          group.of(dWx),
          sums);
    }
  }

  /// Gradients of the parameters that each group sums for itself: all but the projections.
  static Weights small(Workspace from, Dims dims) {
    MemorySegment none = MemorySegment.NULL;
    return new Weights(
        from.floats(dims.dim()),
        from.floats((long) dims.dim() * dims.kernelSize()),
        from.floats(dims.dim()),
        none,
        none,
        none,
        none,
        from.floats(4L * dims.hidden() * dims.headDim()),
        from.floats(4L * dims.hidden()),
        from.floats(dims.hidden()),
        none,
        none);
  }

  static long smallBytes(Dims dims) {
    Workspace counting = Workspace.counting();
    small(counting, dims);
    return counting.size();
  }

  /// Scratch of a group's backward pass.
  record Backward(
      MemorySegment dActive, // (R, U)
      MemorySegment dHeadNormed, // (R, H)
      MemorySegment dH, // (R, H)
      MemorySegment dConvolved, // (R, D)
      MemorySegment dNormed) { // (R, D)
    static Backward in(Workspace from, Size size) {
      long rows = size.rows();
      Dims dims = size.dims();
      return new Backward(
          from.floats(rows * dims.up()),
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.dim()),
          from.floats(rows * dims.dim()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }
}
