package io.xlstm4j.torch;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.CheckpointFolder;
import io.xlstm4j.core.checkpoint.SequenceTensors;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.SequenceConfigKeys;
import io.xlstm4j.core.config.SequenceModelConfig;
import io.xlstm4j.core.files.AtomicFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Converts between a sequence model and its checkpoint folder, as [Checkpoint] does for language
/// models. Reading is strict: a missing, spare or wrong-shaped tensor is an error.
public final class SequenceCheckpoint {
  private SequenceCheckpoint() {}

  /// Opens a checkpoint folder as a model in float32; sizes must be those of its manifest, if it
  /// has one.
  ///
  /// @return the model, owned by the caller
  /// @throws InvalidInputException if anything about the folder is wrong
  public static SequenceModel open(Path folder, Device device) {
    CheckpointFolder.open(folder);
    SequenceModelConfig config = SequenceConfigKeys.read(folder);
    try (TensorSource source = TensorSource.openFolder(folder)) {
      SequenceTensors.check(config, source, OneLine.of(folder));
      var parameters = new Parameters(device, ScalarType.Float, Parameters.Start.EMPTY);
      var model = new SequenceModel(config, parameters);
      try {
        Checkpoint.fill(parameters, source);
        return model;
      } catch (RuntimeException e) {
        model.close();
        throw e;
      }
    }
  }

  /// Writes `config.json` and the weights to a folder, each atomically; the folder is made if it is
  /// missing.
  ///
  /// @throws InvalidInputException if it cannot be written
  public static void save(SequenceModel model, Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw new InvalidInputException(folder + ": cannot be written: " + OneLine.reason(e), e);
    }
    byte[] config = SequenceConfigKeys.toJson(model.config()).getBytes(StandardCharsets.UTF_8);
    try (var _ = new PointerScope()) {
      SafetensorsWriter.write(
          folder.resolve(Checkpoint.WEIGHTS), tensors(model), Checkpoint.METADATA);
    }
    AtomicFile.write(
        folder.resolve(CheckpointConfig.FILE_NAME),
        channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(config)));
  }

  /// The weights as they are stored, recurrent kernels in the layout that the configuration names;
  /// valid as long as the caller's scope is open.
  public static List<TensorData> tensors(SequenceModel model) {
    try (var _ = new NoGradGuard()) {
      var tensors = new ArrayList<TensorData>();
      for (Map.Entry<String, Tensor> entry : model.parameters().byName().entrySet()) {
        Tensor value = entry.getValue().detach();
        tensors.add(
            TorchTensorData.of(
                entry.getKey(),
                Checkpoint.toStored(entry.getKey(), value, model.config().blockStack())));
      }
      return tensors;
    }
  }
}
