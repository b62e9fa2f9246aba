package io.xlstm4j.bench;

import io.xlstm4j.kernels.MlstmGradients;
import io.xlstm4j.kernels.MlstmInputs;
import io.xlstm4j.kernels.MlstmKernel;
import io.xlstm4j.kernels.MlstmShape;
import io.xlstm4j.kernels.MlstmState;
import io.xlstm4j.kernels.StridedMatrix;
import java.lang.foreign.MemorySegment;

/// One mLSTM cell over random sequences, with all the memory it needs.
public final class MlstmCellWork {
  private final MlstmKernel kernel;
  private final MlstmShape shape;
  private final MlstmInputs inputs;
  private final StridedMatrix h;
  private final MlstmState last;
  private final MemorySegment saved;
  private final StridedMatrix dH;
  private final MlstmGradients gradients;

  /// @param floats where the memory comes from; outlives this
  public MlstmCellWork(MlstmKernel kernel, MlstmShape shape, NativeFloats floats) {
    this.kernel = kernel;
    this.shape = shape;
    int qk = shape.qkDim();
    int v = shape.vDim();
    inputs =
        new MlstmInputs(
            gaussian(floats, qk),
            gaussian(floats, qk),
            gaussian(floats, v),
            gaussian(floats, 1),
            gaussian(floats, 1),
            null,
            null);
    h = zeros(floats, v);
    long pairs = (long) shape.batch() * shape.heads();
    last =
        new MlstmState(floats.zeros(pairs * qk * v), floats.zeros(pairs * qk), floats.zeros(pairs));
    saved = floats.bytes(kernel.savedBytes(shape));
    dH = new StridedMatrix(floats.filled(count(v), 1), shape.heads() * v);
    gradients =
        new MlstmGradients(
            zeros(floats, qk),
            zeros(floats, qk),
            zeros(floats, v),
            zeros(floats, 1),
            zeros(floats, 1));
  }

  /// Without what the backward pass would need.
  public void forward() {
    kernel.forward(shape, inputs, null, h, last, null);
  }

  public void forwardAndBackward() {
    kernel.forward(shape, inputs, null, h, last, saved);
    kernel.backward(shape, inputs, h, saved, dH, null, gradients, null);
  }

  private StridedMatrix gaussian(NativeFloats floats, int width) {
    return new StridedMatrix(floats.gaussian(count(width), 1), shape.heads() * width);
  }

  private StridedMatrix zeros(NativeFloats floats, int width) {
    return new StridedMatrix(floats.zeros(count(width)), shape.heads() * width);
  }

  private long count(int width) {
    return (long) shape.batch() * shape.length() * shape.heads() * width;
  }
}
