package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.memory.SegmentFloats.copy;

import io.xlstm4j.kernels.Activation;
import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.reference.ScalarPositionKernels;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import java.lang.foreign.MemorySegment;

/// [VectorPositionKernels] lane by lane, with the same bits, in plain Java on copies: reading
/// memory number by number is slow before it is compiled.
final class PreJitPositionKernels implements PositionKernels {
  private static final int LANES = PreJitMath.LANES;

  @Override
  public void normalize(int first, int end, Norm norm, MemoryMatrix x, MemoryMatrix y) {
    int width = norm.headDim();
    int all = norm.heads() * width;
    float[] scale = norm.scale() == null ? null : read(norm.scale(), 0, all);
    float[] bias = norm.bias() == null ? null : read(norm.bias(), 0, all);
    for (int row = first; row < end; row++) {
      float[] values = read(x.data(), x.row(row), all);
      for (int from = 0; from < all; from += width) {
        float mean = norm.centered() ? sum(values, from, width) / width : 0;
        float square = sumOfSquares(values, from, width, mean) / width;
        float factor = (float) (1 / Math.sqrt(square + norm.epsilon()));
        for (int i = from; i < from + width; i++) {
          float value = (values[i] - mean) * factor;
          value = scale == null ? value : value * scale[i];
          values[i] = bias == null ? value : value + bias[i];
        }
      }
      copy(values, 0, y.data(), y.row(row), all);
    }
  }

  private static float[] read(MemorySegment data, long offset, int count) {
    var values = new float[count];
    copy(data, offset, values, 0, count);
    return values;
  }

  private static float sum(float[] values, int from, int count) {
    var lanes = new float[LANES];
    for (int i = 0; i < count; i++) {
      lanes[i % LANES] += values[from + i];
    }
    return PreJitMath.sum(lanes, 0);
  }

  private static float sumOfSquares(float[] values, int from, int count, float mean) {
    var lanes = new float[LANES];
    for (int i = 0; i < count; i++) {
      float d = values[from + i] - mean;
      lanes[i % LANES] = Math.fma(d, d, lanes[i % LANES]);
    }
    return PreJitMath.sum(lanes, 0);
  }

  private static int whole(int width) {
    return width - width % LANES;
  }

  @Override
  public void gate(
      int first,
      int end,
      int width,
      Activation activation,
      MemoryMatrix gate,
      MemoryMatrix up,
      MemoryMatrix y) {
    int whole = whole(width);
    for (int row = first; row < end; row++) {
      float[] gates = read(gate.data(), gate.row(row), whole);
      float[] ups = read(up.data(), up.row(row), whole);
      for (int i = 0; i < whole; i++) {
        gates[i] = activate(activation, gates[i]) * ups[i];
      }
      copy(gates, 0, y.data(), y.row(row), whole);
      ScalarPositionKernels.gate(whole, width, activation, gate, up, y, row);
    }
  }

  private static float activate(Activation activation, float x) {
    return switch (activation) {
      case GELU -> PreJitMath.normalCdf(x, PreJitMath.expOfNegative(x * x * -0.5f)) * x;
      case RELU -> Math.max(x, 0f);
      case RELU_SQUARED -> Math.max(x, 0f) * Math.max(x, 0f);
      case SIGMOID -> PreJitMath.sigmoid(x);
      case SWISH -> x * PreJitMath.sigmoid(x);
      case SELU -> {
        float low = PreJitMath.expm1OfNegative(Math.min(x, 0f)) * (float) Activation.SELU_ALPHA;
        yield (x > 0f ? x : low) * (float) Activation.SELU_SCALE;
      }
    };
  }

  @Override
  public void addScaled(
      int first, int end, int width, MemorySegment scale, MemoryMatrix x, MemoryMatrix y) {
    float[] scales = read(scale, 0, width);
    for (int row = first; row < end; row++) {
      float[] from = read(x.data(), x.row(row), width);
      float[] to = read(y.data(), y.row(row), width);
      for (int i = 0; i < width; i++) {
        to[i] += from[i] * scales[i];
      }
      copy(to, 0, y.data(), y.row(row), width);
    }
  }

  @Override
  public void softCap(int first, int end, int width, float cap, MemoryMatrix x) {
    int whole = whole(width);
    for (int row = first; row < end; row++) {
      float[] values = read(x.data(), x.row(row), whole);
      for (int i = 0; i < whole; i++) {
        values[i] = PreJitMath.tanh(values[i] / cap) * cap;
      }
      copy(values, 0, x.data(), x.row(row), whole);
      ScalarPositionKernels.softCap(whole, width, cap, x, row);
    }
  }

  @Override
  public void headwise(int first, int end, Headwise projection, MemoryMatrix x, MemoryMatrix y) {
    int width = projection.width();
    int whole = projection.block() == 4 && LANES >= 4 ? whole(width) : 0;
    float[] weight = whole == 0 ? new float[0] : read(projection.weight(), 0, 4 * width);
    float[] bias =
        whole == 0 || projection.bias() == null
            ? new float[whole]
            : read(projection.bias(), 0, whole);
    for (int row = first; row < end; row++) {
      float[] in = read(x.data(), x.row(row), whole);
      var out = new float[whole];
      for (int o = 0; o < whole; o++) {
        float sum = bias[o];
        for (int j = 0; j < 4; j++) {
          sum = Math.fma(in[(o & ~3) + j], weight[j * width + o], sum);
        }
        out[o] = sum;
      }
      copy(out, 0, y.data(), y.row(row), whole);
      for (int o = whole; o < width; o++) {
        ScalarPositionKernels.output(projection, x, y, row, o);
      }
    }
  }
}
