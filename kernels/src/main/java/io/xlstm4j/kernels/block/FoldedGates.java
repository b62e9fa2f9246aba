package io.xlstm4j.kernels.block;

import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.memory.Workspace;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// The gates of an mLSTM block as functions of what queries, keys and values are projections of:
/// `W_q (Q x_c) + W_k (K x_c) + W_v (V x) = (W_q Q + W_k K) x_c + (W_v V) x`. So the projections
/// need not be in memory for the gates, and there is a third less to multiply.
///
/// @param convolved `(2 NH, I)`, input gates first
/// @param memory `(2 NH, I)`
/// @param bias `(2 NH)`
record FoldedGates(MemorySegment convolved, MemorySegment memory, MemorySegment bias) {
  static FoldedGates in(Workspace from, MlstmBlockKernel.Size size) {
    long gates = 2L * size.heads();
    return new FoldedGates(
        from.floats(gates * size.inner()), from.floats(gates * size.inner()), from.floats(gates));
  }

  static long bytes(MlstmBlockKernel.Size size) {
    Workspace counting = Workspace.counting();
    in(counting, size);
    return counting.size();
  }

  /// Weights of all gates and projections, as arrays.
  private static final class Unfolded {
    final int heads;
    final int inner;
    final int blockSize;
    final float[] gates; // (2 NH, 3 I)
    final float[] q; // (I, P), as k and v
    final float[] k;
    final float[] v;

    Unfolded(MlstmBlockKernel.Size size, MlstmBlockKernel.Weights weights) {
      heads = size.heads();
      inner = size.inner();
      blockSize = size.blockSize();
      gates = new float[6 * heads * inner];
      SegmentFloats.copy(weights.igate(), 0, gates, 0, gates.length / 2);
      SegmentFloats.copy(weights.fgate(), 0, gates, gates.length / 2, gates.length / 2);
      q = weights.q().toArray(ValueLayout.JAVA_FLOAT);
      k = weights.k().toArray(ValueLayout.JAVA_FLOAT);
      v = weights.v().toArray(ValueLayout.JAVA_FLOAT);
    }

    /// `to[g, i] += Σ_o gates[g, part, o] projection[o, i]`.
    void fold(int part, float[] projection, float[] to) {
      for (int gate = 0; gate < 2 * heads; gate++) {
        for (int o = 0; o < inner; o++) {
          float weight = gates[(3 * gate + part) * inner + o];
          int offset = gate * inner + o / blockSize * blockSize;
          for (int i = 0; i < blockSize; i++) {
            to[offset + i] += weight * projection[o * blockSize + i];
          }
        }
      }
    }

    /// The gradients back through [#fold]: to the projection, added to, and the gates, written.
    void unfold(
        int part, float[] projection, float[] d, MemorySegment dProjection, float[] dGates) {
      float[] sum = dProjection.toArray(ValueLayout.JAVA_FLOAT);
      for (int gate = 0; gate < 2 * heads; gate++) {
        for (int o = 0; o < inner; o++) {
          float weight = gates[(3 * gate + part) * inner + o];
          int offset = gate * inner + o / blockSize * blockSize;
          float dWeight = 0;
          for (int i = 0; i < blockSize; i++) {
            dWeight += d[offset + i] * projection[o * blockSize + i];
            sum[o * blockSize + i] += weight * d[offset + i];
          }
          dGates[(3 * gate + part) * inner + o] = dWeight;
        }
      }
      SegmentFloats.copy(sum, 0, dProjection, 0, sum.length);
    }
  }

  static FoldedGates of(
      MemorySegment memory, MlstmBlockKernel.Size size, MlstmBlockKernel.Weights weights) {
    FoldedGates folded = in(Workspace.of(memory), size);
    var all = new Unfolded(size, weights);
    float[] sum = new float[2 * size.heads() * size.inner()];
    all.fold(0, all.q, sum);
    all.fold(1, all.k, sum);
    SegmentFloats.copy(sum, 0, folded.convolved, 0, sum.length);
    float[] values = new float[sum.length];
    all.fold(2, all.v, values);
    SegmentFloats.copy(values, 0, folded.memory, 0, values.length);
    long gate = weights.igateBias().byteSize();
    MemorySegment.copy(weights.igateBias(), 0, folded.bias, 0, gate);
    MemorySegment.copy(weights.fgateBias(), 0, folded.bias, gate, gate);
    return folded;
  }

  /// From these, as gradients, to those of the gates, written, and of the projections, added to.
  void unfold(
      MlstmBlockKernel.Size size, MlstmBlockKernel.Weights weights, MlstmBlockKernel.Weights to) {
    var all = new Unfolded(size, weights);
    float[] d = convolved.toArray(ValueLayout.JAVA_FLOAT);
    float[] dGates = new float[all.gates.length];
    all.unfold(0, all.q, d, to.q(), dGates);
    all.unfold(1, all.k, d, to.k(), dGates);
    all.unfold(2, all.v, memory.toArray(ValueLayout.JAVA_FLOAT), to.v(), dGates);
    SegmentFloats.copy(dGates, 0, to.igate(), 0, dGates.length / 2);
    SegmentFloats.copy(dGates, dGates.length / 2, to.fgate(), 0, dGates.length / 2);
    long gate = to.igateBias().byteSize();
    to.igateBias().copyFrom(bias.asSlice(0, gate));
    to.fgateBias().copyFrom(bias.asSlice(gate, gate));
  }
}
