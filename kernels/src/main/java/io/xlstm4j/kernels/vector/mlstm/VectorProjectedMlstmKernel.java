package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.MlstmStateGradient;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.reference.SeparateProjectedMlstmKernel;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// [ProjectedMlstmKernel] whose projections of 4 x 4 are done chunk by chunk within the cell:
/// queries, keys and values never leave its arrays. Other blocks go one kernel after the other.
public final class VectorProjectedMlstmKernel implements ProjectedMlstmKernel {
  private final VectorMlstmKernel mlstm;
  private final SeparateProjectedMlstmKernel separate;

  public VectorProjectedMlstmKernel(KernelThreads threads) {
    this(threads, new VectorMlstmKernel(threads));
  }

  VectorProjectedMlstmKernel(KernelThreads threads, VectorMlstmKernel mlstm) {
    this.mlstm = mlstm;
    separate = new SeparateProjectedMlstmKernel(new VectorHeadwiseKernel(threads), mlstm);
  }

  /// Returns whether no block lies in two heads or two vectors.
  private static boolean isFour(MlstmShape shape, int blockSize) {
    return blockSize == 4 && shape.qkDim() % 4 == 0 && MlstmMath.LANES.length() % 4 == 0;
  }

  @Override
  public long savedBytes(MlstmShape shape) {
    return mlstm.savedBytes(shape);
  }

  @Override
  public long scratchBytes(MlstmShape shape, int blockSize) {
    return isFour(shape, blockSize) ? 0 : separate.scratchBytes(shape, blockSize);
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
    if (!isFour(shape, weights.blockSize())) {
      separate.forward(shape, inputs, weights, scratch, initial, h, last, saved);
      return;
    }
    weights.check("weight", shape);
    var qkv = new ProjectedChunkQkv(shape, inputs, weights, null);
    mlstm.forward(shape, inputs, qkv, initial, h, last, saved);
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
    if (!isFour(shape, weights.blockSize())) {
      separate.backward(
          shape, inputs, weights, scratch, h, saved, dH, dLast, gradients, dWeights, dInitial);
      return;
    }
    weights.check("weight", shape);
    gradients.check(shape);
    dWeights.check("gradient of", shape);
    var qkv = new ProjectedChunkQkv(shape, inputs, weights, gradients);
    mlstm.backward(shape, inputs, qkv, h, saved, dH, dLast, gradients, dInitial);
    qkv.writeWeights(dWeights);
  }
}
