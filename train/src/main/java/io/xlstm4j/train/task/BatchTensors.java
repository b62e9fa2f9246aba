package io.xlstm4j.train.task;

import io.xlstm4j.text.Batch;
import io.xlstm4j.torch.SequenceLayout;
import io.xlstm4j.torch.Tensors;
import org.bytedeco.pytorch.Tensor;

/// A batch as tensors of the caller's scope.
///
/// @param inputs `(B, S)` int64
/// @param targets `(B, S)` int64, ignored ones -1
/// @param layout document starts, if they reset the state
record BatchTensors(Tensor inputs, Tensor targets, SequenceLayout layout) {
  static BatchTensors of(Batch batch, boolean resetAtDocuments) {
    int rows = batch.sequences();
    int length = batch.length();
    return new BatchTensors(
        Tensors.of(batch.inputs(), rows, length),
        Tensors.of(batch.targets(), rows, length),
        resetAtDocuments
            ? SequenceLayout.ofStarts(Tensors.of(batch.starts(), rows, length))
            : SequenceLayout.FULL);
  }
}
