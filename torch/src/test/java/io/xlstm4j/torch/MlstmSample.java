package io.xlstm4j.torch;

import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// Inputs of an mLSTM cell: q, k, v, igate, fgate, and the state c, n, m before the first token.
record MlstmSample(List<Tensor> tensors) {
  static final List<String> NAMES = List.of("q", "k", "v", "igate", "fgate", "c0", "n0", "m0");

  /// Inputs of ordinary size; the state is that of a row that has read something, or zero.
  static MlstmSample draw(
      Draws draws, long batch, long heads, long length, long qkDim, long vDim, boolean warm) {
    double size = warm ? 1 : 0;
    return new MlstmSample(
        List.of(
            draws.normal(1, batch, heads, length, qkDim),
            draws.normal(1, batch, heads, length, qkDim),
            draws.normal(1, batch, heads, length, vDim),
            draws.normal(1.5, batch, heads, length),
            draws.normal(2, batch, heads, length),
            draws.normal(size, batch, heads, qkDim, vDim),
            draws.normal(size, batch, heads, qkDim),
            draws.normal(size, batch, heads)));
  }

  MlstmSample leaves() {
    return new MlstmSample(Gradients.leaves(tensors));
  }

  MlstmCell.State initial() {
    return new MlstmCell.State(tensors.get(5), tensors.get(6), tensors.get(7));
  }

  MlstmCell.Output run(MlstmForm form, int chunk, SequenceLayout layout) {
    return form.run(
        tensors.get(0),
        tensors.get(1),
        tensors.get(2),
        tensors.get(3),
        tensors.get(4),
        initial(),
        layout,
        chunk);
  }
}
