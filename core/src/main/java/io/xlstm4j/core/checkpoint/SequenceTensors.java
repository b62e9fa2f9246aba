package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/// The tensors that belong to a sequence model, known from its configuration alone.
public final class SequenceTensors {
  private SequenceTensors() {}

  /// Every stored tensor: `input_projection`, the blocks under the names of the paper family, and
  /// `head`.
  ///
  /// @return shape by name; the shapes belong to the caller
  public static SequencedMap<String, long[]> of(SequenceModelConfig config) {
    var tensors = new LinkedHashMap<String, long[]>();
    long dim = config.blockStack().embeddingDim();
    tensors.put("input_projection.weight", new long[] {dim, config.inputs()});
    tensors.put("input_projection.bias", new long[] {dim});
    new PaperTensors(config.blockStack()).addStackTo(tensors);
    tensors.put("head.weight", new long[] {config.headWidth(), dim});
    tensors.put("head.bias", new long[] {config.headWidth()});
    return tensors;
  }

  /// Holds a checkpoint against its configuration: names, shapes, and that all are floating-point.
  ///
  /// @param where the name of the folder or file, for messages
  /// @throws InvalidInputException that names the first tensor that is missing, spare, or of
  ///   another shape or kind
  public static void check(SequenceModelConfig config, TensorSource source, String where) {
    Map<String, long[]> expected = of(config);
    for (Map.Entry<String, long[]> tensor : expected.entrySet()) {
      TensorInfo actual = source.tensors().get(tensor.getKey());
      if (actual == null) {
        throw new InvalidInputException(
            where + ": tensor " + tensor.getKey() + " is missing; the configuration asks for it");
      }
      ModelTensors.check(tensor.getKey(), tensor.getValue(), actual, where);
    }
    for (String name : source.tensors().keySet()) {
      if (!expected.containsKey(name)) {
        throw new InvalidInputException(
            "%s: tensor %s is spare; the configuration knows no such part"
                .formatted(where, OneLine.of(name)));
      }
    }
  }
}
