package io.xlstm4j.kernels;

import io.xlstm4j.kernels.MlstmBlockKernel.Inputs;
import io.xlstm4j.kernels.MlstmBlockKernel.Size;
import io.xlstm4j.kernels.MlstmBlockKernel.Weights;
import java.lang.foreign.MemorySegment;

/// How [MlstmBlockKernel] divides the memory it is given: what is kept from one pass to the other,
/// and the scratch of each. B, S, D and I as there; R are the B x S positions.
final class MlstmBlockMemory {
  private MlstmBlockMemory() {}

  /// What the backward pass needs again, of all rows or of a group.
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

    Saved of(BatchRows.Group group) {
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

    MlstmInputs cellInputs(Size size, MemorySegment qkv, Inputs inputs) {
      var gate = new Rows(gates, 2 * size.heads());
      return new MlstmInputs(
          part(size, qkv, 0),
          part(size, qkv, 1),
          part(size, qkv, 2),
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

  /// q, k or v.
  static Rows part(Size size, MemorySegment qkv, int number) {
    return new Rows(qkv, 3 * size.inner()).from(number * size.inner());
  }

  /// Scratch of a group's forward pass.
  record Passing(MemorySegment normed, MemorySegment qkv, MemorySegment y) {
    static Passing in(Workspace from, Size size) {
      long rows = size.rows();
      return new Passing(
          from.floats(rows * size.dim()),
          from.floats(rows * 3 * size.inner()),
          from.floats(rows * size.inner()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().most()));
      return counting.size();
    }
  }

  /// Weight `(2 NH, 3 I)` and bias `(2 NH)` of both gates.
  record Gates(MemorySegment weight, MemorySegment bias) {
    static Gates in(Workspace from, Size size) {
      return new Gates(
          from.floats(6L * size.heads() * size.inner()), from.floats(2L * size.heads()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size);
      return counting.size();
    }

    static Gates joined(MemorySegment memory, Size size, Weights weights) {
      Gates gates = in(Workspace.of(memory), size);
      join(weights.igate(), weights.fgate(), gates.weight);
      join(weights.igateBias(), weights.fgateBias(), gates.bias);
      return gates;
    }

    private static void join(MemorySegment first, MemorySegment second, MemorySegment both) {
      MemorySegment.copy(first, 0, both, 0, first.byteSize());
      MemorySegment.copy(second, 0, both, first.byteSize(), second.byteSize());
    }
  }

  /// What the gradients of the large weights are products of: of a group, or of all rows.
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

    Factors of(BatchRows.Group group) {
      return new Factors(
          group.of(branch),
          group.of(y),
          group.of(normed),
          group.of(dMemory),
          group.of(dOutputGate));
    }
  }

  /// Gradients of weights that each group sums for itself; those of the large ones too, or nothing.
  /// The gates' are joined in `igate` and `igateBias`.
  static Weights sums(Workspace from, Size size, boolean large) {
    int inner = size.inner();
    long block = (long) inner * size.blockSize();
    return new Weights(
        from.floats(size.dim()),
        from.floats(large ? 2L * inner * size.dim() : 0),
        from.floats((long) inner * size.taps()),
        from.floats(inner),
        from.floats(block),
        from.floats(block),
        from.floats(block),
        from.floats(6L * size.heads() * inner),
        from.floats(2L * size.heads()),
        MemorySegment.NULL,
        MemorySegment.NULL,
        from.floats(inner),
        from.floats(inner),
        from.floats(large ? (long) inner * size.dim() : 0));
  }

  /// Scratch of a group's backward pass: gradients, and what is computed again.
  record Returning(
      MemorySegment qkv, // (R, 3 I)
      MemorySegment dY, // (R, I)
      MemorySegment dH, // (R, I)
      MemorySegment dConvolved, // (R, I)
      MemorySegment dQkv, // (R, 3 I)
      MemorySegment dGates, // (R, 2 NH)
      MemorySegment dNormed) { // (R, D)
    static Returning in(Workspace from, Size size) {
      long rows = size.rows();
      return new Returning(
          from.floats(rows * 3 * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * size.inner()),
          from.floats(rows * 3 * size.inner()),
          from.floats(rows * 2 * size.heads()),
          from.floats(rows * size.dim()));
    }

    static long bytes(Size size) {
      Workspace counting = Workspace.counting();
      in(counting, size.of(size.cut().most()));
      return counting.size();
    }
  }
}
