package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.HeadwiseKernel;
import io.xlstm4j.kernels.HeadwiseShape;
import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [ProjectedMlstmKernel] as the kernels it is made of, one after the other: for blocks of any
/// width, and the reference implementation that `VectorProjectedMlstmKernel` is checked against.
public final class SeparateProjectedMlstmKernel implements ProjectedMlstmKernel {
  private final HeadwiseKernel headwise;
  private final MlstmKernel mlstm;

  public SeparateProjectedMlstmKernel(HeadwiseKernel headwise, MlstmKernel mlstm) {
    this.headwise = headwise;
    this.mlstm = mlstm;
  }

  @Override
  public long savedBytes(MlstmShape shape) {
    return mlstm.savedBytes(shape);
  }

  @Override
  public long scratchBytes(MlstmShape shape, int blockSize) {
    Workspace counting = Workspace.counting();
    Qkv.in(counting, shape);
    Qkv.in(counting, shape);
    return counting.size();
  }

  /// Queries, keys and values, or their gradients.
  private record Qkv(StridedMatrix q, StridedMatrix k, StridedMatrix v) {
    static Qkv in(Workspace from, MlstmShape shape) {
      int width = shape.heads() * shape.qkDim();
      long floats = (long) shape.batch() * shape.length() * width;
      return new Qkv(
          new StridedMatrix(from.floats(floats), width),
          new StridedMatrix(from.floats(floats), width),
          new StridedMatrix(from.floats(floats), width));
    }

    MlstmInputs inputs(MlstmInputs gates) {
      return new MlstmInputs(q, k, v, gates.igate(), gates.fgate(), gates.valid(), gates.starts());
    }
  }

  private MlstmInputs project(
      MlstmShape shape, MlstmInputs inputs, Projections weights, Workspace scratch) {
    inputs.check(shape);
    weights.check("weight", shape);
    Qkv qkv = Qkv.in(scratch, shape);
    HeadwiseShape blocks = weights.headwise(shape);
    headwise.forward(blocks, inputs.q(), weights.q(), qkv.q);
    headwise.forward(blocks, inputs.k(), weights.k(), qkv.k);
    headwise.forward(blocks, inputs.v(), weights.v(), qkv.v);
    return qkv.inputs(inputs);
  }

  @Override
  public void forward(
      MlstmShape shape,
      MlstmInputs inputs,
      Projections weights,
      MemorySegment scratch,
      @Nullable MlstmState initial,
      StridedMatrix h,
      MlstmState last,
      @Nullable MemorySegment saved) {
    MlstmInputs projected = project(shape, inputs, weights, Workspace.of(scratch));
    mlstm.forward(shape, projected, initial, h, last, saved);
  }

  @Override
  public void backward(
      MlstmShape shape,
      MlstmInputs inputs,
      Projections weights,
      MemorySegment scratch,
      StridedMatrix h,
      MemorySegment saved,
      StridedMatrix dH,
      @Nullable MlstmStateGradient dLast,
      MlstmGradients gradients,
      Projections dWeights,
      @Nullable MlstmStateGradient dInitial) {
    Workspace work = Workspace.of(scratch);
    MlstmInputs projected = project(shape, inputs, weights, work);
    gradients.check(shape);
    dWeights.check("gradient of", shape);
    Qkv d = Qkv.in(work, shape);
    mlstm.backward(
        shape,
        projected,
        h,
        saved,
        dH,
        dLast,
        new MlstmGradients(d.q, d.k, d.v, gradients.igate(), gradients.fgate()),
        dInitial);
    HeadwiseShape blocks = weights.headwise(shape);
    headwise.backward(blocks, inputs.q(), weights.q(), d.q, gradients.q(), true, dWeights.q());
    headwise.backward(blocks, inputs.k(), weights.k(), d.k, gradients.k(), true, dWeights.k());
    headwise.backward(blocks, inputs.v(), weights.v(), d.v, gradients.v(), false, dWeights.v());
  }
}
