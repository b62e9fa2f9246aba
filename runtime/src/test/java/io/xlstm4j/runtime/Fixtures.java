package io.xlstm4j.runtime;

import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.FeedForwardConfig;
import io.xlstm4j.core.config.MlstmBlockConfig;
import io.xlstm4j.core.config.MlstmLayerConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmBlockConfig;
import io.xlstm4j.core.config.SlstmLayerConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/// Checkpoint folders of models that the official implementations made.
final class Fixtures {
  static final List<String> NAMES =
      List.of("paper_lm_7to1", "paper_lm_bias_tied", "paper_lm_slstm_only", "hf_xlstm_tiny");

  private Fixtures() {}

  /// A folder with the model of a fixture.
  ///
  /// @param type what its weights are stored in
  static Path folder(String name, DType type, Path temporary) {
    try {
      Path folder = Files.createDirectories(temporary.resolve(name + "-" + type));
      if (name.startsWith("hf_")) {
        Path original = resource(name);
        Files.copy(original.resolve("config.json"), folder.resolve("config.json"));
        write(folder, original.resolve("model.safetensors"), "", type);
      } else {
        var config = new CheckpointConfig(paper(name), null);
        Files.writeString(folder.resolve("config.json"), config.toJson());
        write(folder, resource(name + ".safetensors"), "param.", type);
      }
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void write(Path folder, Path from, String prefix, DType type) {
    var tensors = new ArrayList<TensorData>();
    try (var source = SafetensorsFile.open(from)) {
      for (TensorInfo info : source.tensors().values()) {
        if (info.name().startsWith(prefix)) {
          String name = info.name().substring(prefix.length());
          tensors.add(TensorData.of(name, type, info.shape(), source.floats(info.name())));
        }
      }
    }
    SafetensorsWriter.write(folder.resolve(TensorSource.SINGLE_FILE), tensors, Map.of());
  }

  private static PaperModelConfig paper(String name) {
    return switch (name) {
      case "paper_lm_7to1" -> paper(96, 4, 64, List.of(1), 4, false);
      case "paper_lm_bias_tied" -> paper(50, 2, 32, List.of(0), 2, true);
      case "paper_lm_slstm_only" -> paper(40, 2, 64, List.of(0, 1), 4, false);
      default -> throw new IllegalArgumentException(name);
    };
  }

  private static PaperModelConfig paper(
      int vocab, int blocks, int dim, List<Integer> slstmAt, int heads, boolean biasAndTied) {
    var stack =
        new BlockStackConfig(
            blocks,
            dim,
            64,
            slstmAt,
            new MlstmBlockConfig(MlstmLayerConfig.DEFAULT.withNumHeads(heads)),
            new SlstmBlockConfig(
                SlstmLayerConfig.DEFAULT.withNumHeads(heads), FeedForwardConfig.DEFAULT),
            true,
            biasAndTied,
            0.0);
    return new PaperModelConfig(vocab, stack, biasAndTied, false, false);
  }

  /// The inputs and outputs of the official implementation: `ids`, `logits`, maybe `greedy`.
  static SafetensorsFile results(String name) {
    return SafetensorsFile.open(
        resource(name.startsWith("hf_") ? name + "_io.safetensors" : name + ".safetensors"));
  }

  /// A row of the `ids` of a fixture that have logits.
  static int[] ids(SafetensorsFile results, int row) {
    int length = (int) results.info("logits").shape()[1];
    int stored = (int) results.info("ids").shape()[1];
    int[] all = Arrays.stream(results.longs("ids")).mapToInt(Math::toIntExact).toArray();
    return Arrays.copyOfRange(all, row * stored, row * stored + length);
  }

  private static Path resource(String name) {
    try {
      return Path.of(Fixtures.class.getResource("/golden/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }
}
