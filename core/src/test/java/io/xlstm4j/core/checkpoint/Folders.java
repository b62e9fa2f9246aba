package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/// Checkpoint folders for tests: every tensor of a model, filled with numbers of its own.
final class Folders {
  private Folders() {}

  /// The tensors of a model, drawn from its number.
  static List<TensorData> tensors(ModelConfig model, int seed, DType type) {
    var random = new Random(seed);
    var tensors = new ArrayList<TensorData>();
    for (Map.Entry<String, long[]> tensor : ModelTensors.of(model).entrySet()) {
      boolean tied = model.tiesWeights() && tensor.getKey().equals(ModelTensors.head());
      if (!tied) {
        long count = Arrays.stream(tensor.getValue()).reduce(1, (a, b) -> a * b);
        float[] values = new float[(int) count];
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) random.nextGaussian();
        }
        tensors.add(TensorData.of(tensor.getKey(), type, tensor.getValue(), values));
      }
    }
    return tensors;
  }

  /// A folder with `config.json` and one file.
  static Path write(Path folder, ModelConfig model, List<TensorData> tensors) {
    try {
      Files.createDirectories(folder);
      Files.writeString(folder.resolve("config.json"), new CheckpointConfig(model, null).toJson());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
    return folder;
  }

  /// Every number by name; of float32 exact.
  static Map<String, List<Double>> values(TensorSource source) {
    var values = new TreeMap<String, List<Double>>();
    for (String name : source.tensors().keySet()) {
      values.put(name, Arrays.stream(source.doubles(name)).boxed().toList());
    }
    return values;
  }
}
