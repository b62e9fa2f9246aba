package io.xlstm4j.kernels;

import io.xlstm4j.kernels.HeadNormKernel.Gate;
import io.xlstm4j.kernels.HeadNormKernel.Gradients;
import io.xlstm4j.kernels.HeadNormKernel.Inputs;
import io.xlstm4j.kernels.HeadNormKernel.Size;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// The loops of [VectorHeadNormKernel] over native memory as it lies, for heads of whole vectors: a
/// row at a time, one loop for its statistics and one for the rest, two going back.
///
/// Memory is given by its address, of sizes that were checked before ([NativeFloats]).
final class NativeHeadNorm {
  private static final int L = VectorMath.LANES.length();
  private static final long VECTOR_BYTES = (long) L * Float.BYTES;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final FloatVector ONE = FloatVector.broadcast(VectorMath.LANES, 1f);

  private final Size size;
  private final Inputs inputs;
  private final int heads;
  private final int dim;
  private final float[] scale; // (C): 1 + w
  private final float[] skip; // (C)
  private final float[] statistics; // (NH, 2) of a row
  private final float[] g; // (C): gradient of a normal row
  private final float[] moments; // (NH, 2): mean of g, and of g times the normal row

  NativeHeadNorm(Size size, Inputs inputs, float[] scale, float[] skip) {
    this.size = size;
    this.inputs = inputs;
    this.scale = scale;
    this.skip = skip;
    heads = size.heads();
    dim = size.headDim();
    statistics = new float[2 * heads];
    g = new float[size.channels()];
    moments = new float[2 * heads];
  }

  /// Whether these loops can be used.
  static boolean takes(Size size, Inputs inputs, @Nullable MemorySegment... others) {
    Gate gate = inputs.gate();
    return NativeFloats.areDirect()
        && size.headDim() % L == 0
        && inputs.x().isNative()
        && (gate == null || (gate.xc().isNative() && gate.z().isNative()))
        && Stream.of(others).allMatch(memory -> memory == null || memory.isNative());
  }

  private static FloatVector load(long address) {
    return FloatVector.fromMemorySegment(VectorMath.LANES, MEMORY, address, ORDER);
  }

  private static void store(FloatVector value, long address) {
    value.intoMemorySegment(MEMORY, address, ORDER);
  }

  /// Rows `[first, last)`.
  void forward(int first, int last, MemorySegment out, MemorySegment statisticsOut) {
    Gate gate = inputs.gate();
    try {
      for (int row = first; row < last; row++) {
        long at = (long) row * size.channels() * Float.BYTES;
        long x = inputs.x().address() + at;
        long to = out.address() + at;
        takeStatistics(x);
        SegmentFloats.copy(statistics, 0, statisticsOut, 2L * row * heads, 2 * heads);
        if (gate == null) {
          scale(x, to);
        } else {
          gate(x, gate.xc().address() + at, gate.z().address() + at, to);
        }
      }
    } finally {
      Reference.reachabilityFence(inputs);
      Reference.reachabilityFence(out);
    }
  }

  private void takeStatistics(long x) {
    for (int head = 0; head < heads; head++) {
      long end = x + (long) dim * Float.BYTES;
      FloatVector sum = FloatVector.zero(VectorMath.LANES);
      for (long at = x; at < end; at += VECTOR_BYTES) {
        sum = sum.add(load(at));
      }
      float mean = MlstmMath.sum(sum) / dim;
      FloatVector squares = FloatVector.zero(VectorMath.LANES);
      for (long at = x; at < end; at += VECTOR_BYTES) {
        FloatVector centered = load(at).sub(mean);
        squares = centered.fma(centered, squares);
      }
      float variance = MlstmMath.sum(squares) / dim;
      statistics[2 * head] = mean;
      statistics[2 * head + 1] = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
      x = end;
    }
  }

  private void scale(long x, long to) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector normal = load(x + at).sub(mean).mul(reciprocal);
        store(normal.mul(VectorMath.at(scale, c)), to + at);
      }
    }
  }

  private void gate(long x, long xc, long z, long to) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector normal = load(x + at).sub(mean).mul(reciprocal);
        FloatVector open = normal.mul(VectorMath.at(scale, c));
        open = VectorMath.at(skip, c).fma(load(xc + at), open);
        FloatVector gate = load(z + at);
        store(VectorMath.sigmoid(gate).mul(gate).mul(open), to + at);
      }
    }
  }

  /// Rows `[first, last)`.
  ///
  /// @param dScale, dSkip `(C)`, added to
  void backward(
      int first,
      int last,
      MemorySegment statisticsIn,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment outAgain,
      float[] dScale,
      float[] dSkip) {
    Gate gate = inputs.gate();
    Gate dGate = gradients.gate();
    MemorySegment plus = gradients.plus();
    try {
      for (int row = first; row < last; row++) {
        long at = (long) row * size.channels() * Float.BYTES;
        long x = inputs.x().address() + at;
        long d = dOut.address() + at;
        long again = outAgain == null ? 0 : outAgain.address() + at;
        SegmentFloats.copy(statisticsIn, 2L * row * heads, statistics, 0, 2 * heads);
        if (gate == null || dGate == null) {
          throughScale(x, d, again, dScale);
        } else {
          long xc = gate.xc().address() + at;
          throughGate(x, xc, gate.z().address() + at, d, dGate.z().address() + at, again);
          throughSkip(x, xc, dGate.xc().address() + at, dScale, dSkip);
        }
        throughNorm(x, plus == null ? 0 : plus.address() + at, gradients.x().address() + at);
      }
    } finally {
      Reference.reachabilityFence(inputs);
      Reference.reachabilityFence(dOut);
      Reference.reachabilityFence(gradients);
      Reference.reachabilityFence(outAgain);
    }
  }

  /// @param again where the output goes; 0 if it is not wanted
  private void throughScale(long x, long d, long again, float[] dScale) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector normal = load(x + at).sub(mean).mul(reciprocal);
        FloatVector factor = VectorMath.at(scale, c);
        if (again != 0) {
          store(normal.mul(factor), again + at);
        }
        FloatVector scaled = load(d + at);
        scaled.fma(normal, VectorMath.at(dScale, c)).intoArray(dScale, c);
        FloatVector dNormal = scaled.mul(factor);
        dNormal.intoArray(g, c);
        sums = sums.add(dNormal);
        products = dNormal.fma(normal, products);
      }
      moments[2 * head] = MlstmMath.sum(sums) / dim;
      moments[2 * head + 1] = MlstmMath.sum(products) / dim;
    }
  }

  /// The gate, silu'(z) = s (1 + z (1 - s)), s = sigmoid(z); leaves the gradient of what it opens
  /// in `g`.
  private void throughGate(long x, long xc, long z, long d, long dZ, long again) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector open = load(x + at).sub(mean).mul(reciprocal).mul(VectorMath.at(scale, c));
        open = VectorMath.at(skip, c).fma(load(xc + at), open);
        FloatVector gate = load(z + at);
        FloatVector s = VectorMath.sigmoid(gate);
        FloatVector swish = gate.mul(s);
        if (again != 0) {
          store(swish.mul(open), again + at);
        }
        FloatVector dY = load(d + at);
        dY.mul(swish).intoArray(g, c);
        FloatVector slope = ONE.sub(s).fma(gate, ONE).mul(s);
        store(dY.mul(open).mul(slope), dZ + at);
      }
    }
  }

  /// What the gate opens: the scaled row and the skip. A loop of its own, or its vectors would end
  /// up on the heap ([Passes]).
  private void throughSkip(long x, long xc, long dXc, float[] dScale, float[] dSkip) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      FloatVector sums = FloatVector.zero(VectorMath.LANES);
      FloatVector products = FloatVector.zero(VectorMath.LANES);
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector gated = VectorMath.at(g, c);
        FloatVector normal = load(x + at).sub(mean).mul(reciprocal);
        gated.fma(load(xc + at), VectorMath.at(dSkip, c)).intoArray(dSkip, c);
        store(gated.mul(VectorMath.at(skip, c)), dXc + at);
        gated.fma(normal, VectorMath.at(dScale, c)).intoArray(dScale, c);
        FloatVector dNormal = gated.mul(VectorMath.at(scale, c));
        dNormal.intoArray(g, c);
        sums = sums.add(dNormal);
        products = dNormal.fma(normal, products);
      }
      moments[2 * head] = MlstmMath.sum(sums) / dim;
      moments[2 * head + 1] = MlstmMath.sum(products) / dim;
    }
  }

  /// From the gradient of a normal row to that of the row.
  ///
  /// @param plus added; 0 for nothing
  private void throughNorm(long x, long plus, long dx) {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      float sum = moments[2 * head];
      float product = moments[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long at = (long) c * Float.BYTES;
        FloatVector normal = load(x + at).sub(mean).mul(reciprocal);
        FloatVector inner = normal.mul(product).add(sum);
        FloatVector d = VectorMath.at(g, c).sub(inner).mul(reciprocal);
        store(plus == 0 ? d : d.add(load(plus + at)), dx + at);
      }
    }
  }
}
