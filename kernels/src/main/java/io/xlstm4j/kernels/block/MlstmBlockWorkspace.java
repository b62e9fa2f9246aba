package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.CausalConvKernel;
import io.xlstm4j.kernels.HeadNormKernel;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.block.MlstmBlockKernel.Inputs;
import io.xlstm4j.kernels.block.MlstmBlockKernel.Size;
import io.xlstm4j.kernels.block.MlstmBlockKernel.Weights;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;

/// The layout of the memory of [MlstmBlockKernel]: what is kept from one pass to the other, and the
/// scratch of each. B, S, D and I as there; R are the B x S positions.
final class MlstmBlockWorkspace {
  private MlstmBlockWorkspace() {}

  /// The saved activations of all sequences or of a group.
  record Saved(
      MemorySegment normStatistics,
      MemorySegment memory, // (R, I), what convolution and v read
      MemorySegment outputGate, // (R, I)
      MemorySegment convolved, // (R, I)
      MemorySegment gates, // (R, 2 NH)
      MemorySegment cell,
      MemorySegment h, // (R, I)
      MemorySegment headStatistics) {
    static Saved in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      return new Saved(
          from.floats(rows * 2),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * 2 * size.heads()),
          from.bytes(cellBytes),
          from.floats(rows * size.inner()),
          from.floats(rows * 2 * size.heads()));
    }

    Saved of(SequenceGroups.Group group) {
      return new Saved(
          group.of(normStatistics),
          group.of(memory),
          group.of(outputGate),
          group.of(convolved),
          group.of(gates),
          group.of(cell),
          group.of(h),
          group.of(headStatistics));
    }

    /// With what queries, keys and values are projections of in their place.
    MlstmInputs cellInputs(Size size, Inputs inputs) {
      var gate = new StridedMatrix(gates, 2 * size.heads());
      return new MlstmInputs(
          new StridedMatrix(convolved, size.inner()),
          new StridedMatrix(convolved, size.inner()),
          new StridedMatrix(memory, size.inner()),
          gate,
          gate.from(size.heads()),
          inputs.valid(),
          inputs.starts());
    }

    CausalConvKernel.Inputs convInputs(Weights weights, Inputs inputs) {
      return new CausalConvKernel.Inputs(
          memory,
          weights.conv(),
          weights.convBias(),
          inputs.initial().conv(),
          inputs.valid(),
          inputs.starts());
    }

    HeadNormKernel.Inputs headNormInputs(Weights weights, float epsilon) {
      return new HeadNormKernel.Inputs(
          h,
          weights.outnorm(),
          new HeadNormKernel.Gate(weights.skip(), convolved, outputGate),
          epsilon);
    }
  }

  /// Scratch of a group's forward pass.
  record Forward(MemorySegment normed, MemorySegment y, MemorySegment cell) {
    static Forward in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      return new Forward(
          from.floats(rows * size.dim()), from.floats(rows * size.inner()), from.bytes(cellBytes));
    }
  }

  /// The factors of the gradients of the large weights: of a group, or of all sequences.
  record Factors(
      MemorySegment branch, // (R, D), gradient of the branch where there is dropout
      MemorySegment y, // (R, I)
      MemorySegment normed, // (R, D)
      MemorySegment dMemory, // (R, I)
      MemorySegment dOutputGate) { // (R, I)
    static Factors in(Workspace from, Size size, boolean drops) {
      long rows = size.rows();
      return new Factors(
          from.floats(drops ? rows * size.dim() : 0),
          from.floats(rows * size.inner()),
          from.floats(rows * size.dim()),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()));
    }

    static long bytes(Size size, boolean drops) {
      Workspace counting = Workspace.counting();
      in(counting, size, drops);
      return counting.size();
    }

    Factors of(SequenceGroups.Group group) {
      return new Factors(
          group.of(branch),
          group.of(y),
          group.of(normed),
          group.of(dMemory),
          group.of(dOutputGate));
    }
  }

  /// Gradients of weights that each group sums for itself.
  ///
  /// @param weights those of the large ones too, or nothing; none of the gates
  /// @param gates those of the folded ones
  record Sums(Weights weights, FoldedGates gates) {
    static Sums in(Workspace from, Size size, boolean large) {
      int inner = size.inner();
      long block = (long) inner * size.blockSize();
      var weights =
          new Weights(
              from.floats(size.dim()),
              from.floats(large ? 2L * inner * size.dim() : 0),
              from.floats((long) inner * size.kernelSize()),
              from.floats(inner),
              from.floats(block),
              from.floats(block),
              from.floats(block),
              MemorySegment.NULL,
              MemorySegment.NULL,
              MemorySegment.NULL,
              MemorySegment.NULL,
              from.floats(inner),
              from.floats(inner),
              from.floats(large ? (long) inner * size.dim() : 0));
      return new Sums(weights, FoldedGates.in(from, size));
    }

    static long bytes(Size size, boolean large) {
      Workspace counting = Workspace.counting();
      in(counting, size, large);
      return counting.size();
    }
  }

  /// Scratch of a group's backward pass: gradients, and what is computed again.
  record Backward(
      MemorySegment dY, // (R, I)
      MemorySegment dH, // (R, I)
      MemorySegment dConvolved, // (R, I)
      MemorySegment dGates, // (R, 2 NH)
      MemorySegment dNormed, // (R, D)
      MemorySegment cell) {
    static Backward in(Workspace from, Size size, long cellBytes) {
      long rows = size.rows();
      return new Backward(
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * 2 * size.heads()),
          from.floats(rows * size.dim()),
          from.bytes(cellBytes));
    }
  }
}
