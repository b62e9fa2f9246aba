package io.xlstm4j.bench;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.checkpoint.CheckpointConverter;
import io.xlstm4j.core.checkpoint.Int8Quantizer;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.checkpoint.ModelTensors;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.config.LargeModelConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/// A checkpoint folder of the Large family with random weights, in a temporary place. Speed does
/// not depend on what the weights are.
///
/// @param temporary holds the folder; removed by [#close]
/// @param config of the model
/// @param type of its weights
record RandomModel(Path temporary, LargeModelConfig config, Type type) implements AutoCloseable {
  /// Columns that share a scale: the converter's default.
  private static final int GROUP = 64;

  private static final float LARGEST_WEIGHT = 0.05f;

  /// The type in which weights are stored.
  enum Type {
    FLOAT32,
    BF16,
    INT8;

    @Override
    public String toString() {
      return switch (this) {
        case FLOAT32 -> "float32";
        case BF16 -> "bf16";
        case INT8 -> "int8";
      };
    }
  }

  /// Writes one.
  ///
  /// @return the model, to be closed by the caller
  /// @throws InvalidInputException if the system refuses
  static RandomModel write(LargeModelConfig config, Type type) {
    try {
      var model = new RandomModel(Files.createTempDirectory("xlstm-bench"), config, type);
      try {
        model.fill();
        return model;
      } catch (IOException | RuntimeException e) {
        model.close();
        throw e;
      }
    } catch (IOException e) {
      throw new InvalidInputException("a random model cannot be written: " + OneLine.reason(e), e);
    }
  }

  /// The checkpoint folder.
  Path folder() {
    return temporary.resolve(type.toString());
  }

  /// Bytes of weights that a step of decoding reads: all but the embedding, of which it reads as
  /// many rows as there are tokens.
  long bytesRead() {
    String embedding = ModelTensors.embedding(config);
    try (var file = SafetensorsFile.open(folder().resolve(TensorSource.SINGLE_FILE))) {
      return file.tensors().values().stream()
          .filter(info -> !info.name().startsWith(embedding)) // nor its scales
          .mapToLong(TensorInfo::byteSize)
          .sum();
    }
  }

  private void fill() throws IOException {
    Path plain = Files.createDirectory(temporary.resolve(Type.FLOAT32.toString()));
    Files.writeString(
        plain.resolve(CheckpointConfig.FILE_NAME), new CheckpointConfig(config, null).toJson());
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsWriter.write(
          plain.resolve(TensorSource.SINGLE_FILE), tensors(arena), Map.of("format", "pt"));
    }
    if (type == Type.FLOAT32) {
      return;
    }
    try (var source = ModelFolder.open(plain)) {
      if (type == Type.INT8) {
        Int8Quantizer.write(source, folder(), GROUP);
      } else {
        CheckpointConverter.write(
            source,
            folder(),
            new CheckpointConverter.Target(null, null, null, DType.BF16, Long.MAX_VALUE));
      }
    }
    remove(plain);
  }

  private List<TensorData> tensors(Arena arena) {
    var random = new SplittableRandom(0);
    var tensors = new ArrayList<TensorData>();
    ModelTensors.of(config)
        .forEach((name, shape) -> {
          long count = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
          MemorySegment values = arena.allocate(count * Float.BYTES, Float.BYTES);
          boolean norm = name.contains("norm");
          for (long i = 0; i < count; i++) {
            float value = norm ? 1 : (2 * random.nextFloat() - 1) * LARGEST_WEIGHT;
            values.setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
          }
          tensors.add(new TensorData(name, DType.F32, shape, values));
        });
    return tensors;
  }

  @Override
  public void close() {
    try {
      remove(temporary);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(temporary) + ": cannot be removed: " + OneLine.reason(e), e);
    }
  }

  private static void remove(Path folder) throws IOException {
    List<Path> all;
    try (Stream<Path> files = Files.walk(folder)) {
      all = files.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path file : all) {
      Files.delete(file);
    }
  }
}
