package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.ProjectedMlstmKernel;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Queries, keys and values that are projections of what lies in memory.
final class ProjectedChunkQkv implements ChunkQkv {
  private final MlstmInputs inputs;
  private final BlockDiagonal4 q;
  private final BlockDiagonal4 k;
  private final BlockDiagonal4 v;
  private final @Nullable MlstmGradients to;

  /// @param to null in a forward pass
  ProjectedChunkQkv(
      MlstmShape shape,
      MlstmInputs inputs,
      ProjectedMlstmKernel.Projections weights,
      @Nullable MlstmGradients to) {
    this.inputs = inputs;
    this.to = to;
    q = new BlockDiagonal4(shape, weights.q(), (float) (1 / Math.sqrt(shape.qkDim())));
    k = new BlockDiagonal4(shape, weights.k(), 1);
    v = new BlockDiagonal4(shape, weights.v(), 1);
  }

  @Override
  public void read(int pair, int from, int count, float[] queries, float[] keys, float[] values) {
    q.project(inputs.q(), pair, from, count, queries);
    k.project(inputs.k(), pair, from, count, keys);
    v.project(inputs.v(), pair, from, count, values);
  }

  @Override
  public void write(int pair, int from, int count, float[] dq, float[] dk, float[] dv) {
    MlstmGradients d = Objects.requireNonNull(to);
    q.back(inputs.q(), pair, from, count, dq, d.q(), true);
    k.back(inputs.k(), pair, from, count, dk, d.k(), true);
    v.back(inputs.v(), pair, from, count, dv, d.v(), false);
  }

  void writeWeights(ProjectedMlstmKernel.Projections dWeights) {
    q.writeGradient(dWeights.q());
    k.writeGradient(dWeights.k());
    v.writeGradient(dWeights.v());
  }
}
