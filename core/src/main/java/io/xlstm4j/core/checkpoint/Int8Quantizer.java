package io.xlstm4j.core.checkpoint;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.FiniteNumbers;
import io.xlstm4j.core.safetensors.QuantizedTensors;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Writes a checkpoint folder again with its matrices in 8 bits (see [QuantizedTensors] for the
/// layout): what the runtime reads fastest. Each group of columns of a row has a scale, its largest
/// magnitude over 127, and numbers are rounded to the nearest multiple of it.
///
/// Vectors, convolutions, recurrent kernels, projections by blocks and the two gates of a few rows
/// stay in float32: they are small, and their errors would be felt.
public final class Int8Quantizer {
  /// Rows and columns that a matrix must at least have to be quantized.
  private static final long LEAST = 32;

  private static final float MOST = 127;

  private Int8Quantizer() {}

  /// @param from a folder of either family, in any layout
  /// @param to missing, or a checkpoint folder, which is replaced; not the folder that is read, one
  ///   within the other, or a run
  /// @param group columns that share a scale: 32, 64 or 128, or 0 for whole rows
  /// @throws InvalidInputException if a folder is wrong, a number is not finite, or the system
  ///   refuses
  public static void write(ModelFolder from, Path to, int group) {
    if (group != 0 && group != 32 && group != 64 && group != 128) {
      throw new IllegalArgumentException("group (" + group + ") must be 32, 64 or 128, or 0");
    }
    OutputFolder.require(from.path(), to);
    FiniteNumbers.require(from.tensors(), OneLine.of(from.path()));
    var tensors = new ArrayList<TensorData>();
    for (TensorInfo info : from.tensors().tensors().values()) {
      if (ModelTensors.isTiedHead(from.config().model(), info.name())) {
        continue; // no other library reads 8 bits, so nobody looks for a second copy
      }
      add(from.tensors(), info, group, OneLine.of(from.path()), tensors);
    }
    CheckpointFolder.replace(to, staging -> fill(from, staging, tensors));
  }

  private static void add(
      TensorSource source, TensorInfo info, int group, String where, List<TensorData> to) {
    float[] values = source.floats(info.name());
    long[] shape = info.shape();
    if (shape.length != 2 || shape[0] < LEAST || shape[1] < LEAST) {
      to.add(TensorData.of(info.name(), DType.F32, shape, values));
      return;
    }
    int columns = (int) shape[1];
    int size = group == 0 ? columns : Math.min(group, columns);
    int groups = Math.ceilDiv(columns, size);
    float[] scales = new float[(int) shape[0] * groups];
    byte[] bytes = new byte[values.length];
    for (int row = 0; row < shape[0]; row++) {
      for (int g = 0; g < groups; g++) {
        int first = row * columns + g * size;
        int end = Math.min(first + size, (row + 1) * columns);
        float scale = largest(values, first, end) / MOST;
        if (!Float.isFinite(scale)) {
          throw new InvalidInputException(
              where
                  + ": tensor "
                  + OneLine.quote(info.name())
                  + " has a number that is not finite");
        }
        scales[row * groups + g] = scale;
        for (int i = first; i < end; i++) {
          bytes[i] = scale == 0 ? 0 : (byte) Math.clamp(Math.round(values[i] / scale), -127, 127);
        }
      }
    }
    to.add(new TensorData(info.name(), DType.I8, shape, MemorySegment.ofArray(bytes)));
    long[] scaleShape = {shape[0], groups};
    to.add(TensorData.of(info.name() + QuantizedTensors.SCALES, DType.F32, scaleShape, scales));
  }

  private static float largest(float[] values, int first, int end) {
    float largest = 0;
    for (int i = first; i < end; i++) {
      largest = Math.max(largest, Math.abs(values[i])); // NaN stays
    }
    return largest;
  }

  private static void fill(ModelFolder from, Path staging, List<TensorData> tensors)
      throws IOException {
    SafetensorsWriter.write(
        staging.resolve(TensorSource.SINGLE_FILE), tensors, Map.of("format", "pt"));
    CheckpointConfig config = ConvertedTokens.config(from);
    Files.writeString(staging.resolve(CheckpointConfig.FILE_NAME), config.toJson());
    for (String companion : CheckpointConverter.COMPANIONS) {
      if (Files.isRegularFile(from.path().resolve(companion))) {
        Files.copy(from.path().resolve(companion), staging.resolve(companion));
      }
    }
  }
}
