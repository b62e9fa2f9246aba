package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.LayerKernel.Call;
import io.xlstm4j.kernels.block.MlstmLayerKernel.Dims;
import io.xlstm4j.kernels.block.MlstmLayerKernel.Size;
import io.xlstm4j.kernels.block.MlstmLayerKernel.State;
import io.xlstm4j.kernels.block.MlstmLayerKernel.Weights;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;

/// The layout of the memory of [MlstmLayerKernel]: what is kept from one pass to the other, and the
/// scratch of each. B, S, D, M and H as there; R are the B x S positions.
final class MlstmLayerWorkspace {
  private MlstmLayerWorkspace() {}

  /// The saved activations of all sequences or of a group.
  record Saved(
      MemorySegment normStatistics,
      MemorySegment memory, // (R, M), what convolution and values read
      MemorySegment outputGate, // (R, H)
      MemorySegment convolved, // (R, M)
      MemorySegment queriesKeys, // (R, 2 H)
      MemorySegment values, // (R, H)
      MemorySegment skipped, // (R, H)
      MemorySegment gates, // (R, 2 NH)
      MemorySegment cell,
      MemorySegment h, // (R, H)
      MemorySegment headStatistics,
      MemorySegment ones) { // (H): the skip is a projection already
    static Saved in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      Dims dims = size.dims();
      long hidden = dims.hidden();
      return new Saved(
          from.floats(rows * 2),
          from.floats(rows * dims.memory()),
          from.floats(rows * hidden),
          from.floats(rows * dims.memory()),
          from.floats(rows * 2 * hidden),
          from.floats(rows * hidden),
          from.floats(rows * hidden),
          from.floats(rows * 2 * dims.heads()),
          from.bytes(cellBytes),
          from.floats(rows * hidden),
          from.floats(rows * 2 * dims.heads()),
          from.floats(hidden));
    }

    Saved of(SequenceGroups.Group group) {
      return new Saved(
          group.of(normStatistics),
          group.of(memory),
          group.of(outputGate),
          group.of(convolved),
          group.of(queriesKeys),
          group.of(values),
          group.of(skipped),
          group.of(gates),
          group.of(cell),
          group.of(h),
          group.of(headStatistics),
          ones);
    }

    MlstmInputs cellInputs(Dims dims, Call call) {
      var qk = new StridedMatrix(queriesKeys, 2 * dims.hidden());
      var gate = new StridedMatrix(gates, 2 * dims.heads());
      return new MlstmInputs(
          qk,
          qk.from(dims.hidden()),
          new StridedMatrix(values, dims.hidden()),
          gate,
          gate.from(dims.heads()),
          call.valid(),
          call.starts());
    }

    CausalConvKernel.Inputs convInputs(Weights weights, Call call, State initial) {
      return new CausalConvKernel.Inputs(
          memory, weights.conv(), weights.convBias(), initial.conv(), call.valid(), call.starts());
    }

    HeadNormKernel.Inputs headNormInputs(Dims dims, Weights weights) {
      return new HeadNormKernel.Inputs(
          h,
          weights.headNorm(),
          new HeadNormKernel.Gate(ones, skipped, outputGate),
          dims.epsilon());
    }
  }

  /// Scratch of a group's forward pass.
  record Forward(MemorySegment normed, MemorySegment y) { // (R, D) and (R, H)
    static Forward in(Workspace from, Size size) {
      long rows = size.rows();
      return new Forward(
          from.floats(rows * size.dims().dim()), from.floats(rows * size.dims().hidden()));
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
      MemorySegment y, // (R, H)
      MemorySegment dOutputGate, // (R, H)
      MemorySegment dSkipped, // (R, H)
      MemorySegment dQueriesKeys, // (R, 2 H)
      MemorySegment dValues, // (R, H)
      MemorySegment dGates, // (R, 2 NH)
      MemorySegment dMemory, // (R, M)
      MemorySegment sums) { // (groups, small weights)
    static Shared in(Workspace from, Size size) {
      long rows = size.rows();
      Dims dims = size.dims();
      long hidden = dims.hidden();
      return new Shared(
          from.floats(rows * dims.dim()),
          from.floats(rows * hidden),
          from.floats(rows * hidden),
          from.floats(rows * hidden),
          from.floats(rows * 2 * hidden),
          from.floats(rows * hidden),
          from.floats(rows * 2 * dims.heads()),
          from.floats(rows * dims.memory()),
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
          group.of(y),
          group.of(dOutputGate),
          group.of(dSkipped),
          group.of(dQueriesKeys),
          group.of(dValues),
          group.of(dGates),
          group.of(dMemory),
          sums);
    }
  }

  /// Gradients of the parameters that each group sums for itself, and of the ones that nobody
  /// wants.
  record Small(
      MemorySegment norm,
      MemorySegment conv,
      MemorySegment convBias,
      MemorySegment headNorm,
      MemorySegment ones) {
    static Small in(Workspace from, Dims dims) {
      return new Small(
          from.floats(dims.dim()),
          from.floats((long) dims.memory() * dims.kernelSize()),
          from.floats(dims.memory()),
          from.floats(dims.hidden()),
          from.floats(dims.hidden()));
    }
  }

  static long smallBytes(Dims dims) {
    Workspace counting = Workspace.counting();
    Small.in(counting, dims);
    return counting.size();
  }

  /// Scratch of a group's backward pass.
  record Backward(
      MemorySegment dY, // (R, H)
      MemorySegment dH, // (R, H)
      MemorySegment dConvolved, // (R, M)
      MemorySegment dNormed) { // (R, D)
    static Backward in(Workspace from, Size size) {
      long rows = size.rows();
      Dims dims = size.dims();
      return new Backward(
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.hidden()),
          from.floats(rows * dims.memory()),
          from.floats(rows * dims.dim()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().maxGroupSize()));
      return counting.size();
    }
  }
}
