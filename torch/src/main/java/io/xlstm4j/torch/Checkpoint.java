package io.xlstm4j.torch;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Between a model and the tensors of a checkpoint, names and layouts as the official package
/// writes them. Reading is strict: a missing, spare or wrong-shaped tensor is an error.
public final class Checkpoint {
  public static final String WEIGHTS = "model.safetensors";

  private Checkpoint() {}

  /// Opens a checkpoint folder; sizes must be those of its manifest, if it has one.
  ///
  /// @return the model, owned by the caller
  /// @throws InvalidInputException if anything about the folder is wrong
  public static XlstmLanguageModel open(Path folder, Device device) {
    CheckpointFolder.open(folder);
    CheckpointConfig config = CheckpointConfig.read(folder);
    try (TensorSource source = TensorSource.openFolder(folder)) {
      return switch (config.model()) {
        case PaperModelConfig paper -> load(paper, source, folder.toString(), device);
        case LargeModelConfig _ ->
            throw new InvalidInputException(folder + ": the Large family cannot be opened yet");
      };
    }
  }

  /// Makes a model of a configuration and the tensors that belong to it.
  ///
  /// @param where the name of the folder or file, for messages
  /// @return the model in float32, owned by the caller
  /// @throws InvalidInputException if a tensor is missing, spare, or of the wrong shape or type
  public static XlstmLanguageModel load(
      PaperModelConfig config, TensorSource source, String where, Device device) {
    ModelTensors.check(config, source, where);
    var model =
        new XlstmLanguageModel(
            config, new Parameters(device, ScalarType.Float, Parameters.Start.EMPTY));
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      for (Map.Entry<String, Tensor> entry : model.parameters().byName().entrySet()) {
        entry.getValue().copy_(inMemory(entry.getKey(), stored(source, entry.getKey()), source));
      }
      if (config.tieWeights() && source.tensors().containsKey(XlstmLanguageModel.HEAD)) {
        checkTied(source, where);
      }
      return model;
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /// Writes the weights to a safetensors file, atomically, recurrent kernels in the layout that the
  /// configuration names.
  public static void save(XlstmLanguageModel model, Path file) {
    try (var _ = new PointerScope();
        var _ = new NoGradGuard()) {
      var tensors = new ArrayList<TensorData>();
      for (Map.Entry<String, Tensor> entry : toStored(model).entrySet()) {
        tensors.add(TorchTensorData.of(entry.getKey(), entry.getValue()));
      }
      SafetensorsWriter.write(file, tensors, Map.of("format", "pt"));
    }
  }

  /// What a checkpoint of the model holds, by name. The tensors belong to the caller's scope.
  static SequencedMap<String, Tensor> toStored(XlstmLanguageModel model) {
    var slstm = model.config().blockStack().slstmBlock();
    Backend layout = slstm == null ? Backend.CUDA : slstm.slstm().backend();
    var stored = new LinkedHashMap<String, Tensor>();
    for (Map.Entry<String, Tensor> entry : model.parameters().byName().entrySet()) {
      String name = entry.getKey();
      Tensor value = entry.getValue().detach();
      if (name.endsWith(SlstmKernelLayout.KERNEL)) {
        value = SlstmKernelLayout.kernelTo(layout, value);
      } else if (name.endsWith(SlstmKernelLayout.BIAS) && slstm != null) {
        value = SlstmKernelLayout.biasTo(layout, value, slstm.slstm().numHeads());
      }
      stored.put(name, value);
    }
    if (model.config().tieWeights()) { // the official package stores the shared matrix twice
      stored.put(XlstmLanguageModel.HEAD, stored.get(XlstmLanguageModel.EMBEDDING));
    }
    return stored;
  }

  /// A stored tensor in the layout that the parameters have in memory.
  static Tensor inMemory(String name, Tensor stored, TensorSource source) {
    if (name.endsWith(SlstmKernelLayout.KERNEL)) {
      return SlstmKernelLayout.kernelFrom(SlstmKernelLayout.of(Ops.shape(stored)), stored);
    }
    if (name.endsWith(SlstmKernelLayout.BIAS)) {
      String kernel =
          name.substring(0, name.length() - SlstmKernelLayout.BIAS.length())
              + SlstmKernelLayout.KERNEL;
      long[] shape = source.info(kernel).shape();
      return SlstmKernelLayout.biasFrom(SlstmKernelLayout.of(shape), stored, shape[0]);
    }
    return stored;
  }

  private static Tensor stored(TensorSource source, String name) {
    return Tensors.of(source.floats(name), source.info(name).shape());
  }

  private static void checkTied(TensorSource source, String where) {
    float[] head = source.floats(XlstmLanguageModel.HEAD);
    if (!Arrays.equals(head, source.floats(XlstmLanguageModel.EMBEDDING))) {
      throw new InvalidInputException(
          "%s: tie_weights is true, but %s and %s differ"
              .formatted(where, XlstmLanguageModel.HEAD, XlstmLanguageModel.EMBEDDING));
    }
  }
}
