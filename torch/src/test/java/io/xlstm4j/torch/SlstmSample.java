package io.xlstm4j.torch;

import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// Inputs of an sLSTM cell: wx, r, b, and the state y, c, n, m before the first token.
record SlstmSample(List<Tensor> tensors) {
  static final List<String> NAMES = List.of("wx", "r", "b", "y0", "c0", "n0", "m0");

  /// Inputs of ordinary size; the state is that of a row that has read something, or zero.
  static SlstmSample draw(
      Draws draws, long batch, long heads, long length, long headDim, boolean warm) {
    double size = warm ? 1 : 0;
    return new SlstmSample(
        List.of(
            draws.normal(1.5, batch, length, 4, heads, headDim),
            draws.normal(0.5, heads, headDim, 4, headDim),
            draws.normal(1, heads, 4, headDim),
            draws.normal(0.5 * size, batch, heads, headDim),
            draws.normal(size, batch, heads, headDim),
            draws.uniform(size, 3 * size, batch, heads, headDim),
            draws.normal(size, batch, heads, headDim)));
  }

  SlstmSample leaves() {
    return new SlstmSample(Gradients.leaves(tensors));
  }

  SlstmCell.State initial() {
    return new SlstmCell.State(tensors.get(3), tensors.get(4), tensors.get(5), tensors.get(6));
  }

  SlstmCell.Output run(SlstmCell cell) {
    return run(cell, SequenceLayout.FULL);
  }

  SlstmCell.Output run(SlstmCell cell, SequenceLayout layout) {
    return cell.forward(tensors.get(0), tensors.get(1), tensors.get(2), initial(), layout);
  }

  /// The positions `[from, from + length)`, from another state.
  SlstmSample part(long from, long length, SlstmCell.State initial) {
    return new SlstmSample(
        List.of(
            tensors.get(0).narrow(1, from, length),
            tensors.get(1),
            tensors.get(2),
            initial.y(),
            initial.c(),
            initial.n(),
            initial.m()));
  }

  /// One row of the batch.
  SlstmSample row(long row) {
    return new SlstmSample(
        List.of(
            tensors.get(0).narrow(0, row, 1),
            tensors.get(1),
            tensors.get(2),
            tensors.get(3).narrow(0, row, 1),
            tensors.get(4).narrow(0, row, 1),
            tensors.get(5).narrow(0, row, 1),
            tensors.get(6).narrow(0, row, 1)));
  }
}
