package io.xlstm4j.cli;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/// The storage of a folder's weights on the disk.
///
/// @param fileBytes sizes of all weight files, their headers included
/// @param files how many there are
/// @param tensors how many tensors they hold, scales included
/// @param types what is stored in each type
record StoredWeights(long fileBytes, int files, int tensors, Map<DType, Part> types) {
  /// @param tensors how many
  /// @param numbers how many in all of them
  /// @param bytes what they take
  record Part(int tensors, long numbers, long bytes) {
    Part plus(TensorInfo info) {
      return new Part(tensors + 1, numbers + info.elementCount(), bytes + info.byteSize());
    }
  }

  /// @param stored the tensors as the files have them
  static StoredWeights of(Path folder, TensorSource stored) {
    var types = new EnumMap<DType, Part>(DType.class);
    for (TensorInfo info : stored.tensors().values()) {
      types.put(info.dtype(), types.getOrDefault(info.dtype(), new Part(0, 0, 0)).plus(info));
    }
    long bytes = 0;
    int files = 0;
    try (var found = Files.newDirectoryStream(folder, "model*.safetensors")) {
      for (Path file : found) {
        bytes += Files.size(file);
        files++;
      }
    } catch (IOException e) {
      throw new InvalidInputException(OneLine.of(folder) + ": " + OneLine.reason(e), e);
    } catch (DirectoryIteratorException e) {
      throw new InvalidInputException(
          OneLine.of(folder) + ": cannot be listed: " + e.getMessage(), e);
    }
    return new StoredWeights(bytes, files, stored.tensors().size(), types);
  }

  /// `1.5 MB, int8 with scales, 58 tensors`
  String summary() {
    return String.format(
        Locale.ROOT,
        "%s, %s, %d tensor%s%s",
        size(fileBytes),
        mainType(),
        tensors,
        tensors == 1 ? "" : "s",
        files == 1 ? "" : " in " + files + " files");
  }

  /// The type of most numbers, as people name it.
  String mainType() {
    DType most = DType.F32;
    for (Map.Entry<DType, Part> type : types.entrySet()) {
      Part now = types.getOrDefault(most, new Part(0, 0, 0));
      if (type.getValue().numbers() > now.numbers()) {
        most = type.getKey();
      }
    }
    return name(most);
  }

  static String name(DType type) {
    return switch (type) {
      case F64 -> "float64";
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case I8 -> "int8 with scales";
      case I64, I32, U8 -> type.name();
    };
  }

  /// Bytes in decimal units.
  static String size(long bytes) {
    String[] units = {"bytes", "kB", "MB", "GB", "TB"};
    double value = bytes;
    int unit = 0;
    while (value >= 1000 && unit < units.length - 1) {
      value /= 1000;
      unit++;
    }
    return unit == 0
        ? bytes + " bytes"
        : String.format(Locale.ROOT, value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  }
}
