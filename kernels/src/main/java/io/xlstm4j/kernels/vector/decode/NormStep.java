package io.xlstm4j.kernels.vector.decode;

import static io.xlstm4j.kernels.vector.math.VectorMath.LANES;
import static io.xlstm4j.kernels.vector.math.VectorMath.at;

import io.xlstm4j.kernels.MemoryMatrix;
import io.xlstm4j.kernels.PositionKernels;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.ArrayLoops;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.PreJitMath;
import io.xlstm4j.kernels.vector.math.SegmentVectors;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// The norm of one head of a row (docs/math.md 3.1) on an array filled up to whole vectors, in
/// loops that are compiled one by one ([ArrayLoops]). Kept from call to call, by one thread.
final class NormStep {
  private static final int WIDTH = LANES.length();
  private static final ByteOrder ORDER = ByteOrder.nativeOrder();

  private static final ArrayLoops<NormStep> PLAIN =
      new ArrayLoops<>(
          List.of(NormStep::squares, NormStep::scale, NormStep::weight, NormStep::shift));
  private static final ArrayLoops<NormStep> CENTERED =
      new ArrayLoops<>(
          List.of(
              NormStep::sum,
              NormStep::squares,
              NormStep::scale,
              NormStep::weight,
              NormStep::shift));

  private float[] values = new float[0];
  private int count;
  private long column;
  private float mean;
  private float epsilon;
  private float factor;
  private @Nullable MemorySegment weight;
  private @Nullable MemorySegment bias;

  /// @param first column of the head
  void run(PositionKernels.Norm norm, int first, MemoryMatrix x, MemoryMatrix y, int row) {
    count = norm.headDim();
    column = first;
    mean = 0;
    epsilon = norm.epsilon();
    weight = norm.scale();
    bias = norm.bias();
    if (values.length < count) {
      values = new float[PreJitMath.padded(count)];
    }
    SegmentVectors.read(x.data(), x.row(row) + first, values, 0, count);
    (norm.centered() ? CENTERED : PLAIN).run(this);
    SegmentVectors.write(values, 0, y.data(), y.row(row) + first, count);
    weight = null; // which may be freed while this waits
    bias = null;
  }

  private void sum() {
    fillUp(0);
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      sum = sum.add(at(values, i));
    }
    mean = MlstmMath.sum(sum) / count;
  }

  private void squares() {
    fillUp(mean);
    var sum = FloatVector.zero(LANES);
    for (int i = 0; i < count; i += WIDTH) {
      var d = at(values, i).sub(mean);
      sum = d.fma(d, sum);
    }
    factor = (float) (1 / Math.sqrt(MlstmMath.sum(sum) / count + epsilon));
  }

  /// Elements past the end add nothing.
  private void fillUp(float value) {
    for (int i = count; i < PreJitMath.padded(count); i++) {
      values[i] = value;
    }
  }

  private void scale() {
    for (int i = 0; i < count; i += WIDTH) {
      at(values, i).sub(mean).mul(factor).intoArray(values, i);
    }
  }

  private void weight() {
    MemorySegment by = weight;
    if (by == null) {
      return;
    }
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      at(values, i)
          .mul(FloatVector.fromMemorySegment(LANES, by, (column + i) * Float.BYTES, ORDER))
          .intoArray(values, i);
    }
    for (; i < count; i++) {
      values[i] *= SegmentFloats.get(by, column + i);
    }
  }

  private void shift() {
    MemorySegment added = bias;
    if (added == null) {
      return;
    }
    int i = 0;
    for (int bound = LANES.loopBound(count); i < bound; i += WIDTH) {
      at(values, i)
          .add(FloatVector.fromMemorySegment(LANES, added, (column + i) * Float.BYTES, ORDER))
          .intoArray(values, i);
    }
    for (; i < count; i++) {
      values[i] += SegmentFloats.get(added, column + i);
    }
  }
}
