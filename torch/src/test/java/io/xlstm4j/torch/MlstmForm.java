package io.xlstm4j.torch;

import org.bytedeco.pytorch.Tensor;

/// The three forms of the mLSTM cell behind one signature.
enum MlstmForm {
  RECURRENT,
  PARALLEL,
  CHUNKWISE;

  MlstmCell.Output run(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor i,
      Tensor f,
      MlstmCell.State initial,
      SequenceLayout layout,
      int chunk) {
    return switch (this) {
      case RECURRENT -> MlstmCell.recurrent(q, k, v, i, f, initial, layout);
      case PARALLEL -> MlstmCell.parallel(q, k, v, i, f, initial, layout);
      case CHUNKWISE -> MlstmCell.chunkwise(q, k, v, i, f, initial, layout, chunk);
    };
  }
}
