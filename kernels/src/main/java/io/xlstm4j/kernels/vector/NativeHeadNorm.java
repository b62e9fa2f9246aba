package io.xlstm4j.kernels.vector;

import io.xlstm4j.kernels.HeadNormKernel.Gate;
import io.xlstm4j.kernels.HeadNormKernel.Gradients;
import io.xlstm4j.kernels.HeadNormKernel.Inputs;
import io.xlstm4j.kernels.HeadNormKernel.Size;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.NativeFloats;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteOrder;
import java.util.List;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// The loops of [VectorHeadNormKernel] over native memory as it lies, for heads of whole vectors: a
/// row at a time, one loop for its statistics and one for the rest, two or three going back, each
/// compiled by itself ([ArrayLoops]).
///
/// Memory is given by its address, of sizes that were checked before ([NativeFloats]). Vectors are
/// read and written by what Java always inlines: a method of ours that happens to be compiled first
/// would give them as objects on the heap.
final class NativeHeadNorm {
  private static final VectorSpecies<Float> LANES = VectorMath.LANES;
  private static final int L = LANES.length();
  private static final long VECTOR_BYTES = (long) L * Float.BYTES;
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final FloatVector ONE = FloatVector.broadcast(LANES, 1f);

  private static final ArrayLoops<NativeHeadNorm> NORM =
      new ArrayLoops<>(List.of(NativeHeadNorm::takeStatistics, NativeHeadNorm::scale));
  private static final ArrayLoops<NativeHeadNorm> NORM_AND_GATE =
      new ArrayLoops<>(List.of(NativeHeadNorm::takeStatistics, NativeHeadNorm::gate));
  private static final ArrayLoops<NativeHeadNorm> NORM_BACK =
      new ArrayLoops<>(List.of(NativeHeadNorm::throughScale, NativeHeadNorm::throughNorm));
  private static final ArrayLoops<NativeHeadNorm> GATE_AND_NORM_BACK =
      new ArrayLoops<>(
          List.of(
              NativeHeadNorm::throughGate,
              NativeHeadNorm::throughSkip,
              NativeHeadNorm::throughNorm));

  private final Size size;
  private final Inputs inputs;
  private final int heads;
  private final int dim;
  private final float[] scale; // (C): 1 + w
  private final float[] skip; // (C)
  private final float[] statistics; // (NH, 2) of a row
  private final float[] g; // (C): gradient of a normal row
  private final float[] moments; // (NH, 2): mean of g, and of g times the normal row

  // addresses of a row now; 0 for what there is not
  private long x;
  private long xc;
  private long z;
  private long out;
  private long dOut;
  private long dXc;
  private long dZ;
  private long dx;
  private long addend;
  private float[] dScale = {};
  private float[] dSkip = {};

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

  /// Returns whether the forward loops can be used.
  static boolean takes(Size size, Inputs inputs, @Nullable MemorySegment out) {
    return NativeFloats.areDirect()
        && size.headDim() % L == 0
        && areNative(inputs.x(), out)
        && isNative(inputs.gate());
  }

  /// Returns whether those going back can be, too.
  static boolean takes(
      Size size,
      Inputs inputs,
      MemorySegment dOut,
      Gradients gradients,
      @Nullable MemorySegment out) {
    return takes(size, inputs, out)
        && areNative(dOut, gradients.x(), gradients.addend())
        && isNative(gradients.gate());
  }

  private static boolean isNative(@Nullable Gate gate) {
    return gate == null || areNative(gate.xc(), gate.z());
  }

  private static boolean areNative(@Nullable MemorySegment... memory) {
    return Stream.of(memory).allMatch(m -> m == null || m.isNative());
  }

  /// Rows `[first, last)`.
  void forward(int first, int last, MemorySegment to, MemorySegment statisticsOut) {
    Gate gate = inputs.gate();
    try {
      for (int row = first; row < last; row++) {
        x = row(row, inputs.x());
        xc = row(row, gate == null ? null : gate.xc());
        z = row(row, gate == null ? null : gate.z());
        out = row(row, to);
        (gate == null ? NORM : NORM_AND_GATE).run(this);
        SegmentFloats.copy(statistics, 0, statisticsOut, 2L * row * heads, 2 * heads);
      }
    } finally {
      Reference.reachabilityFence(inputs);
      Reference.reachabilityFence(to);
    }
  }

  private long row(int row, @Nullable MemorySegment of) {
    return of == null ? 0 : of.address() + (long) row * size.channels() * Float.BYTES;
  }

  private void takeStatistics() {
    long start = x;
    for (int head = 0; head < heads; head++) {
      long end = start + (long) dim * Float.BYTES;
      FloatVector sum = FloatVector.zero(LANES);
      for (long offset = start; offset < end; offset += VECTOR_BYTES) {
        sum = sum.add(FloatVector.fromMemorySegment(LANES, MEMORY, offset, ORDER));
      }
      float mean = MlstmMath.sum(sum) / dim;
      FloatVector squares = FloatVector.zero(LANES);
      for (long offset = start; offset < end; offset += VECTOR_BYTES) {
        FloatVector centered =
            FloatVector.fromMemorySegment(LANES, MEMORY, offset, ORDER).sub(mean);
        squares = centered.fma(centered, squares);
      }
      float variance = MlstmMath.sum(squares) / dim;
      statistics[2 * head] = mean;
      statistics[2 * head + 1] = (float) (1 / Math.sqrt(variance + inputs.epsilon()));
      start = end;
    }
  }

  private void scale() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector normal =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal);
        normal
            .mul(FloatVector.fromArray(LANES, scale, c))
            .intoMemorySegment(MEMORY, out + offset, ORDER);
      }
    }
  }

  private void gate() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector normal =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal);
        FloatVector open = normal.mul(FloatVector.fromArray(LANES, scale, c));
        open =
            FloatVector.fromArray(LANES, skip, c)
                .fma(FloatVector.fromMemorySegment(LANES, MEMORY, xc + offset, ORDER), open);
        FloatVector gate = FloatVector.fromMemorySegment(LANES, MEMORY, z + offset, ORDER);
        VectorMath.sigmoid(gate).mul(gate).mul(open).intoMemorySegment(MEMORY, out + offset, ORDER);
      }
    }
  }

  /// Rows `[first, last)`.
  ///
  /// @param scaleSums, skipSums `(C)`, gradients that are added to
  void backward(
      int first,
      int last,
      MemorySegment statisticsIn,
      MemorySegment outputGradient,
      Gradients gradients,
      @Nullable MemorySegment outAgain,
      float[] scaleSums,
      float[] skipSums) {
    Gate gate = inputs.gate();
    Gate dGate = gradients.gate();
    dScale = scaleSums;
    dSkip = skipSums;
    try {
      for (int row = first; row < last; row++) {
        x = row(row, inputs.x());
        xc = row(row, gate == null ? null : gate.xc());
        z = row(row, gate == null ? null : gate.z());
        out = row(row, outAgain);
        dOut = row(row, outputGradient);
        dXc = row(row, dGate == null ? null : dGate.xc());
        dZ = row(row, dGate == null ? null : dGate.z());
        dx = row(row, gradients.x());
        addend = row(row, gradients.addend());
        SegmentFloats.copy(statisticsIn, 2L * row * heads, statistics, 0, 2 * heads);
        (gate == null ? NORM_BACK : GATE_AND_NORM_BACK).run(this);
      }
    } finally {
      Reference.reachabilityFence(inputs);
      Reference.reachabilityFence(outputGradient);
      Reference.reachabilityFence(gradients);
      Reference.reachabilityFence(outAgain);
    }
  }

  private void throughScale() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      FloatVector sums = FloatVector.zero(LANES);
      FloatVector products = FloatVector.zero(LANES);
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector normal =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal);
        FloatVector factor = FloatVector.fromArray(LANES, scale, c);
        if (out != 0) {
          normal.mul(factor).intoMemorySegment(MEMORY, out + offset, ORDER);
        }
        FloatVector scaled = FloatVector.fromMemorySegment(LANES, MEMORY, dOut + offset, ORDER);
        scaled.fma(normal, FloatVector.fromArray(LANES, dScale, c)).intoArray(dScale, c);
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
  private void throughGate() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector open =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal)
                .mul(FloatVector.fromArray(LANES, scale, c));
        open =
            FloatVector.fromArray(LANES, skip, c)
                .fma(FloatVector.fromMemorySegment(LANES, MEMORY, xc + offset, ORDER), open);
        FloatVector gate = FloatVector.fromMemorySegment(LANES, MEMORY, z + offset, ORDER);
        FloatVector s = VectorMath.sigmoid(gate);
        FloatVector swish = gate.mul(s);
        if (out != 0) {
          swish.mul(open).intoMemorySegment(MEMORY, out + offset, ORDER);
        }
        FloatVector dY = FloatVector.fromMemorySegment(LANES, MEMORY, dOut + offset, ORDER);
        dY.mul(swish).intoArray(g, c);
        FloatVector slope = ONE.sub(s).fma(gate, ONE).mul(s);
        dY.mul(open).mul(slope).intoMemorySegment(MEMORY, dZ + offset, ORDER);
      }
    }
  }

  /// Computes the input of the gate: the scaled row and the skip.
  private void throughSkip() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      FloatVector sums = FloatVector.zero(LANES);
      FloatVector products = FloatVector.zero(LANES);
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector gated = FloatVector.fromArray(LANES, g, c);
        FloatVector normal =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal);
        gated
            .fma(
                FloatVector.fromMemorySegment(LANES, MEMORY, xc + offset, ORDER),
                FloatVector.fromArray(LANES, dSkip, c))
            .intoArray(dSkip, c);
        gated
            .mul(FloatVector.fromArray(LANES, skip, c))
            .intoMemorySegment(MEMORY, dXc + offset, ORDER);
        gated.fma(normal, FloatVector.fromArray(LANES, dScale, c)).intoArray(dScale, c);
        FloatVector dNormal = gated.mul(FloatVector.fromArray(LANES, scale, c));
        dNormal.intoArray(g, c);
        sums = sums.add(dNormal);
        products = dNormal.fma(normal, products);
      }
      moments[2 * head] = MlstmMath.sum(sums) / dim;
      moments[2 * head + 1] = MlstmMath.sum(products) / dim;
    }
  }

  /// From the gradient of a normal row to that of the row.
  private void throughNorm() {
    for (int head = 0; head < heads; head++) {
      float mean = statistics[2 * head];
      float reciprocal = statistics[2 * head + 1];
      float sum = moments[2 * head];
      float product = moments[2 * head + 1];
      for (int c = head * dim; c < (head + 1) * dim; c += L) {
        long offset = (long) c * Float.BYTES;
        FloatVector normal =
            FloatVector.fromMemorySegment(LANES, MEMORY, x + offset, ORDER)
                .sub(mean)
                .mul(reciprocal);
        FloatVector inner = normal.mul(product).add(sum);
        FloatVector d = FloatVector.fromArray(LANES, g, c).sub(inner).mul(reciprocal);
        (addend == 0
                ? d
                : d.add(FloatVector.fromMemorySegment(LANES, MEMORY, addend + offset, ORDER)))
            .intoMemorySegment(MEMORY, dx + offset, ORDER);
      }
    }
  }
}
