package io.xlstm4j.kernels;

/// The memory that [MlstmKernel#backward] writes; shapes as in [MlstmInputs].
public record MlstmGradients(
    StridedMatrix q, StridedMatrix k, StridedMatrix v, StridedMatrix igate, StridedMatrix fgate) {
  public void check(MlstmShape shape) {
    shape.check("gradient of q", q, shape.qkDim());
    shape.check("gradient of k", k, shape.qkDim());
    shape.check("gradient of v", v, shape.vDim());
    shape.check("gradient of igate", igate, 1);
    shape.check("gradient of fgate", fgate, 1);
  }
}
