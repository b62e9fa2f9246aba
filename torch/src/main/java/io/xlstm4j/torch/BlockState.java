package io.xlstm4j.torch;

import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// The state of one block for a batch: the last inputs of its convolution, if it has one, and its
/// cell's state.
///
/// The first axis of every tensor is the batch, so sequences can be taken out and put together.
public sealed interface BlockState extends Scopes.Tensors
    permits MlstmBlock.State, SlstmBlock.State, LargeBlock.State {
  /// The tensors by name, in a fixed order.
  List<Named> named();

  /// A state of the same kind with other tensors, in the order of [#named].
  BlockState with(List<Tensor> tensors);

  @Override
  default List<Tensor> tensors() {
    return named().stream().map(Named::tensor).toList();
  }

  record Named(String name, Tensor tensor) {}
}
