package io.xlstm4j.torch;

import io.xlstm4j.core.ModelState;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import org.bytedeco.pytorch.Tensor;

/// Converts between the state of a batch, as tensors, and the states of its sequences, as values.
final class SequenceStates {
  private SequenceStates() {}

  /// One value per sequence; parts are named `blocks.{i}.{part}` and have no batch axis.
  static List<ModelState> split(BlockStack.State state, long[] positions) {
    var rows = new ArrayList<LinkedHashMap<String, ModelState.Part>>();
    for (int row = 0; row < positions.length; row++) {
      rows.add(new LinkedHashMap<>());
    }
    for (int block = 0; block < state.blocks().size(); block++) {
      for (BlockState.Named part : state.blocks().get(block).named()) {
        float[] all = Tensors.floats(part.tensor());
        long[] batchShape = Ops.shape(part.tensor());
        long[] shape = Arrays.copyOfRange(batchShape, 1, batchShape.length);
        int size = all.length / positions.length;
        for (int row = 0; row < positions.length; row++) {
          float[] values = Arrays.copyOfRange(all, row * size, (row + 1) * size);
          rows.get(row).put(name(block, part), new ModelState.Part(shape, values));
        }
      }
    }
    var states = new ArrayList<ModelState>();
    for (int row = 0; row < positions.length; row++) {
      states.add(new ModelState(rows.get(row), positions[row]));
    }
    return states;
  }

  /// @param like a state of the right shapes, type and device for this many sequences
  /// @throws IllegalArgumentException if a sequence's state is not one of this model
  static BlockStack.State join(BlockStack.State like, List<ModelState> rows) {
    for (ModelState row : rows) {
      if (row.parts().size() != like.tensors().size()) {
        throw new IllegalArgumentException(
            "a state has %d parts, but this model needs %d; it has %s"
                .formatted(row.parts().size(), like.tensors().size(), row.parts().keySet()));
      }
    }
    var blocks = new ArrayList<BlockState>();
    for (int block = 0; block < like.blocks().size(); block++) {
      BlockState template = like.blocks().get(block);
      var tensors = new ArrayList<Tensor>();
      for (BlockState.Named part : template.named()) {
        tensors.add(joined(name(block, part), part.tensor(), rows));
      }
      blocks.add(template.with(tensors));
    }
    return new BlockStack.State(blocks);
  }

  private static Tensor joined(String name, Tensor like, List<ModelState> rows) {
    long[] batchShape = Ops.shape(like);
    long[] shape = Arrays.copyOfRange(batchShape, 1, batchShape.length);
    int size = (int) (like.numel() / rows.size());
    float[] all = new float[size * rows.size()];
    for (int row = 0; row < rows.size(); row++) {
      ModelState.Part part = rows.get(row).part(name);
      if (!Arrays.equals(part.shape(), shape)) {
        throw new IllegalArgumentException(
            "state %s has shape %s, but this model needs %s"
                .formatted(name, Arrays.toString(part.shape()), Arrays.toString(shape)));
      }
      part.copyTo(all, row * size);
    }
    return Tensors.of(all, batchShape).to(like.device(), like.scalar_type());
  }

  private static String name(int block, BlockState.Named part) {
    return "blocks." + block + "." + part.name();
  }
}
