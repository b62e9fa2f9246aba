package io.xlstm4j.torch;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.BlockStackConfig;
import io.xlstm4j.core.config.ModelConfig;
import io.xlstm4j.core.config.PaperModelConfig;
import io.xlstm4j.core.config.SlstmLayerConfig.Backend;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// Converts between a model and the tensors of a checkpoint, names and layouts as the official
/// package writes them. Reading is strict: a missing, spare or wrong-shaped tensor is an error.
public final class Checkpoint {
  public static final String WEIGHTS = "model.safetensors";

  /// The header entry that Hugging Face requires.
  public static final Map<String, String> METADATA = Map.of("format", "pt");

  private Checkpoint() {}

  /// Opens a checkpoint folder as a model in float32; sizes must be those of its manifest, if it
  /// has one.
  ///
  /// @return the model, owned by the caller
  /// @throws InvalidInputException if anything about the folder is wrong
  public static XlstmLanguageModel open(Path folder, Device device) {
    return open(folder, device, ScalarType.Float);
  }

  /// Opens a checkpoint folder of any layout.
  ///
  /// @param type what the model keeps its parameters in, whatever type they are stored in
  /// @return the model, owned by the caller
  /// @throws InvalidInputException if anything about the folder is wrong
  public static XlstmLanguageModel open(Path folder, Device device, ScalarType type) {
    try (var opened = ModelFolder.open(folder)) {
      FiniteNumbers.require(opened.tensors(), OneLine.of(folder));
      return read(opened.config().model(), opened.tensors(), device, type);
    }
  }

  /// Makes a model of a configuration and the tensors that belong to it.
  ///
  /// @param where the name of the folder or file, for messages
  /// @return the model in float32, owned by the caller
  /// @throws InvalidInputException if a tensor is missing, spare, or of the wrong shape or type
  public static XlstmLanguageModel load(
      ModelConfig config, TensorSource source, String where, Device device) {
    ModelTensors.check(config, source, where);
    return read(config, source, device, ScalarType.Float);
  }

  private static XlstmLanguageModel read(
      ModelConfig config, TensorSource checked, Device device, ScalarType type) {
    var model =
        new XlstmLanguageModel(config, new Parameters(device, type, Parameters.Start.EMPTY));
    try {
      fill(model.parameters(), checked);
      return model;
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
  }

  /// Copies stored tensors, which were checked, into the parameters of their names.
  static void fill(Parameters parameters, TensorSource checked) {
    for (Map.Entry<String, Tensor> entry : parameters.byName().entrySet()) {
      try (var _ = new PointerScope();
          var _ = new NoGradGuard()) {
        Tensor stored = stored(checked, entry.getKey());
        entry.getValue().copy_(inMemory(entry.getKey(), stored, checked));
      }
    }
  }

  /// Writes the weights to a safetensors file, atomically, recurrent kernels in the layout that the
  /// configuration names.
  public static void save(XlstmLanguageModel model, Path file) {
    try (var _ = new PointerScope()) {
      SafetensorsWriter.write(file, tensors(model), METADATA);
    }
  }

  /// Returns the tensors that [#save] writes; valid as long as the caller's scope is open.
  public static List<TensorData> tensors(XlstmLanguageModel model) {
    try (var _ = new NoGradGuard()) {
      var tensors = new ArrayList<TensorData>();
      for (Map.Entry<String, Tensor> entry : toStored(model).entrySet()) {
        tensors.add(TorchTensorData.of(entry.getKey(), entry.getValue()));
      }
      return tensors;
    }
  }

  /// Returns the tensors of the model's checkpoint by name. The tensors belong to the caller's
  /// scope.
  static SequencedMap<String, Tensor> toStored(XlstmLanguageModel model) {
    var stored = new LinkedHashMap<String, Tensor>();
    for (Map.Entry<String, Tensor> entry : model.parameters().byName().entrySet()) {
      Tensor value = entry.getValue().detach();
      stored.put(entry.getKey(), toStored(entry.getKey(), value, model.config()));
    }
    if (model.config().tiesWeights()) {
      // Written twice: the official package of the paper does so, and Hugging Face's library ties
      // nothing in this class and would draw a missing head at random.
      stored.put(ModelTensors.head(), stored.get(ModelTensors.embedding(model.config())));
    }
    return stored;
  }

  private static Tensor toStored(String name, Tensor value, ModelConfig config) {
    return config instanceof PaperModelConfig paper
        ? toStored(name, value, paper.blockStack())
        : value;
  }

  /// A parameter of a stack in the layout that is stored.
  static Tensor toStored(String name, Tensor value, BlockStackConfig stack) {
    var slstm = stack.slstmBlock();
    Backend layout = slstm == null ? Backend.CUDA : slstm.slstm().backend();
    if (name.endsWith(SlstmKernelLayout.KERNEL)) {
      return SlstmKernelLayout.kernelTo(layout, value);
    }
    if (name.endsWith(SlstmKernelLayout.BIAS) && slstm != null) {
      return SlstmKernelLayout.biasTo(layout, value, slstm.slstm().numHeads());
    }
    return value;
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

  /// The tensor as it is stored, on the memory of the file where that is aligned: a model may have
  /// more numbers than a Java array, and there is no need to have them twice.
  private static Tensor stored(TensorSource source, String name) {
    TensorInfo info = source.info(name);
    MemorySegment data = source.data(name);
    @Nullable ScalarType type = type(info);
    if (type == null || data.byteSize() == 0 || data.address() % info.dtype().bytes() != 0) {
      return Tensors.of(source.floats(name), info.shape());
    }
    return new TensorAddress(data.address(), info.shape(), type).tensor(Torch.device("cpu"));
  }

  private static @Nullable ScalarType type(TensorInfo info) {
    return switch (info.dtype()) {
      case F64 -> ScalarType.Double;
      case F32 -> ScalarType.Float;
      case BF16 -> ScalarType.BFloat16;
      case F16 -> ScalarType.Half;
      case I64, I32, I8, U8 -> null;
    };
  }
}
