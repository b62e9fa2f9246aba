package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.full;
import static org.bytedeco.pytorch.global.torch.rand;
import static org.bytedeco.pytorch.global.torch.randn;
import static org.bytedeco.pytorch.global.torch.tensor;

import io.xlstm4j.core.config.SlstmLayerConfig.BiasInit;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;

/// The initialisation of a parameter: on the CPU in float32, so that a seed gives the same model on
/// every device.
@FunctionalInterface
interface Init {
  Tensor create(long... shape);

  static Init constant(double value) {
    return shape -> full(shape, new Scalar(value));
  }

  static Init normal(double std) {
    return shape -> randn(shape).mul(new Scalar(std));
  }

  /// `N(0, 2 / (5 dim))`, "small init".
  static Init small(long dim) {
    return normal(Math.sqrt(2.0 / (5.0 * dim)));
  }

  /// `N(0, (2 / (blocks sqrt(dim)))²)`, "wang init", for what writes to the residual stream.
  static Init wang(long dim, int numBlocks) {
    return normal(2.0 / numBlocks / Math.sqrt((double) dim));
  }

  /// `U(-bound, bound)`.
  static Init uniform(double bound) {
    return shape -> rand(shape).mul(new Scalar(2 * bound)).sub(new Scalar(bound));
  }

  /// Evenly spaced from `first` to `last`, over a vector; `first` alone if it has one element.
  static Init linspace(double first, double last) {
    return shape -> {
      float[] values = new float[(int) shape[0]];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) spaced(first, last, i, values.length);
      }
      return tensor(values);
    };
  }

  /// The biases of an sLSTM cell, flat in order (head, gate, unit) with gates i, f, z, o (spec
  /// 1.4).
  static Init slstmBias(BiasInit kind, int heads, int headDim, int blockIndex, int numBlocks) {
    if (kind == BiasInit.STANDARD) {
      return uniform(1 / Math.sqrt((double) heads * headDim));
    }
    double depth = numBlocks <= 1 ? 0 : (double) blockIndex / (numBlocks - 1);
    return shape -> {
      float[] values = new float[heads * 4 * headDim];
      for (int head = 0; head < heads; head++) {
        for (int d = 0; d < headDim; d++) {
          double place = headDim == 1 ? 0 : (double) d / (headDim - 1); // one unit: no 0/0
          double forget =
              switch (kind) {
                case POWERLAW_BLOCKDEPENDENT -> 5 - 12 * Math.pow(place, 0.3 + 1.3 * depth);
                case SMALL_INIT -> spaced(3, 6, d, headDim);
                case ZEROS, STANDARD -> 0;
              };
          values[(head * 4 + 1) * headDim + d] = (float) forget;
        }
      }
      return tensor(values).view(shape);
    };
  }

  /// A tensor whose first axis is cut into parts that each start in their own way.
  ///
  /// @param parts top to bottom; they draw in this order, as if they were tensors of their own
  /// @param rows of each part
  static Init stacked(List<Init> parts, long... rows) {
    return shape -> {
      Tensor[] made = new Tensor[rows.length];
      for (int i = 0; i < rows.length; i++) {
        long[] own = shape.clone();
        own[0] = rows[i];
        made[i] = parts.get(i).create(own);
      }
      return Ops.concat(0, made);
    };
  }

  private static double spaced(double first, double last, int index, int count) {
    return count == 1 ? first : first + (last - first) * index / (count - 1);
  }
}
