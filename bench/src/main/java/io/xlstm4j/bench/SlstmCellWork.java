package io.xlstm4j.bench;

import io.xlstm4j.kernels.SlstmKernel;
import io.xlstm4j.kernels.memory.KernelThreads;
import java.lang.foreign.MemorySegment;

/// One sLSTM cell over random sequences, with all the memory it needs.
public final class SlstmCellWork {
  private final SlstmKernel kernel;
  private final KernelThreads workers;
  private final SlstmKernel.Size size;
  private final SlstmKernel.Inputs inputs;
  private final MemorySegment y;
  private final SlstmKernel.State last;
  private final MemorySegment saved;
  private final MemorySegment dy;
  private final SlstmKernel.Gradients gradients;

  /// @param floats where the memory comes from; outlives this
  public SlstmCellWork(
      SlstmKernel kernel, KernelThreads workers, SlstmKernel.Size size, NativeFloats floats) {
    this.kernel = kernel;
    this.workers = workers;
    this.size = size;
    long units = (long) size.heads() * size.headDim();
    long outputs = units * size.batch() * size.length();
    long ofKernel = 4 * units * size.headDim();
    inputs =
        new SlstmKernel.Inputs(
            floats.gaussian(4 * outputs, 1),
            floats.gaussian(ofKernel, 0.1),
            floats.gaussian(4 * units, 1),
            state(floats, size.batch() * units),
            null,
            null);
    y = floats.zeros(outputs);
    last = state(floats, size.batch() * units);
    saved = floats.bytes(kernel.savedBytes(size));
    dy = floats.filled(outputs, 1);
    gradients =
        new SlstmKernel.Gradients(
            floats.zeros(4 * outputs),
            floats.zeros(ofKernel),
            floats.zeros(4 * units),
            state(floats, size.batch() * units));
  }

  /// Without what the backward pass would need.
  public void forward() {
    kernel.forward(size, inputs, y, last, null, workers);
  }

  public void forwardAndBackward() {
    kernel.forward(size, inputs, y, last, saved, workers);
    kernel.backward(
        size, inputs, y, saved, dy, SlstmKernel.StateGradients.NONE, gradients, workers);
  }

  private static SlstmKernel.State state(NativeFloats floats, long count) {
    return new SlstmKernel.State(
        floats.zeros(count), floats.zeros(count), floats.zeros(count), floats.zeros(count));
  }
}
