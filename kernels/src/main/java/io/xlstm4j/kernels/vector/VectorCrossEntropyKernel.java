package io.xlstm4j.kernels.vector;

import static io.xlstm4j.kernels.vector.math.NativeFloats.load;
import static io.xlstm4j.kernels.vector.math.NativeFloats.store;

import io.xlstm4j.kernels.CrossEntropyKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import io.xlstm4j.kernels.memory.SegmentFloats;
import io.xlstm4j.kernels.vector.math.MlstmMath;
import io.xlstm4j.kernels.vector.math.VectorMath;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/// [CrossEntropyKernel] on vectors. A task is some rows.
public final class VectorCrossEntropyKernel implements CrossEntropyKernel {
  private static final int L = VectorMath.LANES.length();
  private static final int ROWS = 16;

  @Override
  public void losses(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      KernelThreads threads) {
    run(size, logits, targets, losses, Float.NaN, threads);
  }

  @Override
  public void lossesAndGradient(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      float scale,
      KernelThreads threads) {
    run(size, logits, targets, losses, scale, threads);
  }

  /// @param scale NaN for no gradient
  private static void run(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      float scale,
      KernelThreads threads) {
    size.check(logits, targets, losses);
    threads.run(
        Math.ceilDiv(size.rows(), ROWS),
        number -> {
          int last = Math.min((number + 1) * ROWS, size.rows());
          for (int row = number * ROWS; row < last; row++) {
            int target = size.target(targets, row);
            double loss = row(size, logits, row, target, scale);
            losses.setAtIndex(ValueLayout.JAVA_DOUBLE, row, loss);
          }
        });
  }

  private static double row(Size size, StridedMatrix logits, int row, int target, float scale) {
    long from = (long) row * logits.stride();
    boolean wantsGradient = !Float.isNaN(scale);
    if (target == IGNORED) {
      if (wantsGradient) {
        SegmentFloats.zero(logits.data(), from, size.classes());
      }
      return 0;
    }
    float most = most(size, logits.data(), from);
    float chosen = logits.get(row, target);
    float sum = sum(size, logits.data(), from, most, wantsGradient);
    if (wantsGradient) {
      scale(size, logits.data(), from, scale / sum);
      logits.set(row, target, logits.get(row, target) - scale);
    }
    return most + Math.log(sum) - chosen;
  }

  /// NaN if one of them is.
  private static float most(Size size, MemorySegment data, long from) {
    FloatVector most = FloatVector.broadcast(VectorMath.LANES, Float.NEGATIVE_INFINITY);
    int bound = VectorMath.LANES.loopBound(size.classes());
    for (int c = 0; c < bound; c += L) {
      most = most.max(load(data, from + c));
    }
    float all = most.reduceLanes(VectorOperators.MAX); // exact in any order
    for (int c = bound; c < size.classes(); c++) {
      all = Math.max(all, SegmentFloats.get(data, from + c));
    }
    return all;
  }

  /// Σ exp(x - most), the terms in place of the logits if `keep`.
  private static float sum(Size size, MemorySegment data, long from, float most, boolean keep) {
    FloatVector sum = FloatVector.zero(VectorMath.LANES);
    int bound = VectorMath.LANES.loopBound(size.classes());
    for (int c = 0; c < bound; c += L) {
      FloatVector e = VectorMath.expOfNegative(load(data, from + c).sub(most));
      sum = sum.add(e);
      if (keep) {
        store(e, data, from + c);
      }
    }
    float all = MlstmMath.sum(sum);
    for (int c = bound; c < size.classes(); c++) {
      float e = (float) Math.exp(SegmentFloats.get(data, from + c) - most);
      all += e;
      if (keep) {
        SegmentFloats.set(data, from + c, e);
      }
    }
    return all;
  }

  private static void scale(Size size, MemorySegment data, long from, float factor) {
    int bound = VectorMath.LANES.loopBound(size.classes());
    for (int c = 0; c < bound; c += L) {
      store(load(data, from + c).mul(factor), data, from + c);
    }
    for (int c = bound; c < size.classes(); c++) {
      SegmentFloats.set(data, from + c, SegmentFloats.get(data, from + c) * factor);
    }
  }
}
