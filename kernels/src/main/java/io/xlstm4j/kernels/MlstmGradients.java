package io.xlstm4j.kernels;

/// Where [MlstmKernel#backward] writes; shapes as in [MlstmInputs].
public record MlstmGradients(
    MlstmRows q, MlstmRows k, MlstmRows v, MlstmRows igate, MlstmRows fgate) {
  void check(MlstmShape shape) {
    q.check("gradient of q", shape, shape.qkDim());
    k.check("gradient of k", shape, shape.qkDim());
    v.check("gradient of v", shape, shape.vDim());
    igate.check("gradient of igate", shape, 1);
    fgate.check("gradient of fgate", shape, 1);
  }
}
