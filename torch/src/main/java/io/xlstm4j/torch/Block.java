package io.xlstm4j.torch;

import io.xlstm4j.core.config.BlockConfig;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// A residual block of a model.
sealed interface Block permits MlstmBlock, SlstmBlock, LargeBlock {
  static Block create(
      Parameters.Prefix at,
      BlockConfig config,
      BlockStackConfig stack,
      int index,
      ExecutionMode execution) {
    return switch (config) { // no default: a new kind must not compile until it is handled here
      case MlstmBlockConfig mlstm -> new MlstmBlock(at, mlstm, stack, execution);
      case SlstmBlockConfig slstm -> new SlstmBlock(at, slstm, stack, index, execution);
    };
  }

  /// @param x `(B, S, D)`
  /// @param last this block's state; read, never written
  Output forward(Tensor x, BlockState last, SequenceLayout layout);

  /// Returns whether one kernel runs the whole block, which keeps little and computes the rest
  /// again by itself in the backward pass.
  default boolean isOneOperation(Tensor x) {
    return false;
  }

  /// The exception for a state that some other kind of block made.
  static IllegalArgumentException foreign(String kind, BlockState state) {
    return new IllegalArgumentException(
        "the block is an %s block, but its state is of an %s block"
            .formatted(
                kind,
                switch (state) {
                  case MlstmBlock.State _ -> "mLSTM";
                  case SlstmBlock.State _ -> "sLSTM";
                  case LargeBlock.State _ -> "xLSTM Large";
                }));
  }

  /// The state before the first token, of the type and device of `like`.
  BlockState zeroState(long batch, Tensor like);

  /// @param x `(B, S, D)`
  /// @param state after the last token
  record Output(Tensor x, BlockState state) implements Scopes.Tensors {
    @Override
    public List<Tensor> tensors() {
      var tensors = new ArrayList<Tensor>();
      tensors.add(x);
      tensors.addAll(state.tensors());
      return tensors;
    }
  }
}
