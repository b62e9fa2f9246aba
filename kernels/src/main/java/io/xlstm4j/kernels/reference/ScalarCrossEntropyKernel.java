package io.xlstm4j.kernels.reference;

import io.xlstm4j.kernels.CrossEntropyKernel;
import io.xlstm4j.kernels.StridedMatrix;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/// [CrossEntropyKernel] as plain loops.
public final class ScalarCrossEntropyKernel implements CrossEntropyKernel {
  @Override
  public void losses(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      KernelThreads threads) {
    size.check(logits, targets, losses);
    for (int row = 0; row < size.rows(); row++) {
      int target = size.target(targets, row);
      double loss = target == IGNORED ? 0 : logSum(size, logits, row) - logits.get(row, target);
      losses.setAtIndex(ValueLayout.JAVA_DOUBLE, row, loss);
    }
  }

  @Override
  public void lossesAndGradient(
      Size size,
      StridedMatrix logits,
      MemorySegment targets,
      MemorySegment losses,
      float scale,
      KernelThreads threads) {
    losses(size, logits, targets, losses, threads);
    for (int row = 0; row < size.rows(); row++) {
      int target = size.target(targets, row);
      double logSum = logSum(size, logits, row);
      for (int c = 0; c < size.classes(); c++) {
        double p = Math.exp(logits.get(row, c) - logSum) - (c == target ? 1 : 0);
        logits.set(row, c, target == IGNORED ? 0 : (float) (scale * p));
      }
    }
  }

  private static double logSum(Size size, StridedMatrix logits, int row) {
    double most = Double.NEGATIVE_INFINITY;
    for (int c = 0; c < size.classes(); c++) {
      most = Math.max(most, logits.get(row, c));
    }
    double sum = 0;
    for (int c = 0; c < size.classes(); c++) {
      sum += Math.exp(logits.get(row, c) - most);
    }
    return most + Math.log(sum);
  }
}
