package io.xlstm4j.train.task;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import io.xlstm4j.torch.BlockStack;
import io.xlstm4j.torch.BlockState;
import io.xlstm4j.torch.Scopes;
import io.xlstm4j.torch.Tensors;
import io.xlstm4j.torch.TorchTensorData;
import java.util.ArrayList;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.IntFunction;
import org.bytedeco.pytorch.Tensor;

/// The states that sequences of a batch go on with in the next one, cut off from the graph that
/// made them: truncated back-propagation through time.
final class CarriedStates implements AutoCloseable {
  /// By the first sequence of a part of the batch.
  private final SequencedMap<Integer, Scopes.Holder<BlockStack.State>> parts = new TreeMap<>();

  /// The state that a part goes on with, or `fresh` if there is none yet.
  BlockStack.State before(int from, BlockStack.State fresh) {
    var holder = parts.get(from);
    return holder == null ? fresh : holder.get();
  }

  void after(int from, BlockStack.State state) {
    BlockStack.State cut = state.detached();
    var holder = parts.get(from);
    if (holder == null) {
      parts.put(from, new Scopes.Holder<>(cut));
    } else {
      holder.set(cut);
    }
  }

  /// All of it by name: `rows.{from}.blocks.{i}.{part}`.
  List<TensorData> tensors() {
    var tensors = new ArrayList<TensorData>();
    parts.forEach((from, holder) -> {
      List<BlockState> blocks = holder.get().blocks();
      for (int i = 0; i < blocks.size(); i++) {
        for (BlockState.Named part : blocks.get(i).named()) {
          tensors.add(TorchTensorData.of(name(from, i, part), part.tensor()));
        }
      }
    });
    return tensors;
  }

  /// @param froms first sequences of the parts
  /// @param fresh a state of the shape that a part needs, by its first sequence
  /// @throws InvalidInputException if a tensor is missing or spare
  void restore(TensorSource source, List<Integer> froms, IntFunction<BlockStack.State> fresh) {
    int taken = 0;
    for (int from : froms) {
      List<BlockState> like = fresh.apply(from).blocks();
      var blocks = new ArrayList<BlockState>();
      for (int i = 0; i < like.size(); i++) {
        var tensors = new ArrayList<Tensor>();
        for (BlockState.Named part : like.get(i).named()) {
          String name = name(from, i, part);
          var stored = Tensors.of(source.floats(name), source.info(name).shape());
          tensors.add(stored.to(part.tensor().device(), part.tensor().scalar_type()));
          taken++;
        }
        blocks.add(like.get(i).with(tensors));
      }
      after(from, new BlockStack.State(blocks));
    }
    if (taken != source.tensors().size()) {
      throw new InvalidInputException(
          "the saved state carries %d tensors, but the run needs %d"
              .formatted(source.tensors().size(), taken));
    }
  }

  private static String name(int from, int block, BlockState.Named part) {
    return "rows." + from + ".blocks." + block + "." + part.name();
  }

  @Override
  public void close() {
    parts.values().forEach(Scopes.Holder::close);
    parts.clear();
  }
}
