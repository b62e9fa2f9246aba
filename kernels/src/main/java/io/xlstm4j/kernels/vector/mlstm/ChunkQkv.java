package io.xlstm4j.kernels.vector.mlstm;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// Where the queries, keys and values of an [MlstmChunk] come from, and where their gradients go.
///
/// Arrays are `(count, wide)`, rows padded with zeros to whole vectors. A pair is a row of the
/// batch and a head.
interface ChunkQkv {
  /// Positions `[from, from + count)` of a pair.
  ///
  /// @param q written, times `DHQK^-0.5`
  /// @param k, v written
  void read(int pair, int from, int count, float[] q, float[] k, float[] v);

  /// @param dq gradient of what [#read] wrote to q; may be changed, as the others
  void write(int pair, int from, int count, float[] dq, float[] dk, float[] dv);

  /// As they lie in memory.
  ///
  /// @param to null in a forward pass
  record Stored(MlstmShape shape, MlstmInputs inputs, @Nullable MlstmGradients to)
      implements ChunkQkv {
    @Override
    public void read(int pair, int from, int count, float[] q, float[] k, float[] v) {
      float scale = (float) (1 / Math.sqrt(shape.qkDim()));
      load(inputs.q(), pair, from, count, shape.qkDim(), scale, q);
      load(inputs.k(), pair, from, count, shape.qkDim(), 1, k);
      load(inputs.v(), pair, from, count, shape.vDim(), 1, v);
    }

    @Override
    public void write(int pair, int from, int count, float[] dq, float[] dk, float[] dv) {
      MlstmGradients d = Objects.requireNonNull(to);
      float scale = (float) (1 / Math.sqrt(shape.qkDim()));
      store(dq, scale, d.q(), pair, from, count, shape.qkDim());
      store(dk, 1, d.k(), pair, from, count, shape.qkDim());
      store(dv, 1, d.v(), pair, from, count, shape.vDim());
    }

    private void load(
        StridedMatrix rows, int pair, int from, int count, int width, float factor, float[] to) {
      long offset = shape.at(rows, pair, width, from);
      int wide = MlstmMath.wholeVectors(width);
      MlstmGather.load(rows.data(), offset, rows.stride(), count, width, factor, to, wide);
    }

    private void store(
        float[] from, float factor, StridedMatrix rows, int pair, int first, int count, int width) {
      long offset = shape.at(rows, pair, width, first);
      int wide = MlstmMath.wholeVectors(width);
      MlstmGather.store(from, wide, factor, count, width, rows.data(), offset, rows.stride());
    }
  }
}
