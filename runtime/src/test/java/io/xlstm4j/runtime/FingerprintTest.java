package io.xlstm4j.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.checkpoint.Int8Quantizer;
import io.xlstm4j.core.checkpoint.ModelFolder;
import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.QuantizedTensors;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// A saved state belongs to the weights that made it: every tensor counts, the small ones too.
class FingerprintTest {
  @TempDir private Path temporary;

  static List<String> names() {
    return List.of("paper_lm_7to1", "hf_xlstm_tiny");
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("names")
  void every_tensor_of_a_model_counts(String name) throws IOException {
    Path folder = Fixtures.folder(name, DType.F32, temporary);
    assertEveryTensorCounts(folder);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("names")
  void every_matrix_of_8_bits_and_all_of_its_scales_count(String name) throws IOException {
    Path to = temporary.resolve("int8");
    try (var folder = ModelFolder.open(Fixtures.folder(name, DType.F32, temporary))) {
      Int8Quantizer.write(folder, to, 32);
    }
    assertEveryTensorCounts(to);
  }

  @Test
  void the_first_and_the_last_byte_of_a_long_tensor_count() throws IOException {
    CheckpointConfig config =
        CheckpointConfig.read(Fixtures.folder("hf_xlstm_tiny", DType.F32, temporary));
    Path file = temporary.resolve("long.safetensors");
    SafetensorsWriter.write(
        file,
        List.of(TensorData.of("w", DType.F32, new long[] {20_001}, new float[20_001])),
        Map.of());
    String before = fingerprint(config, file);
    for (long at : new long[] {0, 4L * 20_001 - 1}) {
      flip(file, at);
      assertThat(fingerprint(config, file)).as("byte %d", at).isNotEqualTo(before);
      flip(file, at);
    }
  }

  /// Changes one bit of every stored tensor, one at a time.
  private static void assertEveryTensorCounts(Path folder) throws IOException {
    CheckpointConfig config = CheckpointConfig.read(folder);
    Path file = folder.resolve(TensorSource.SINGLE_FILE);
    Map<String, TensorInfo> stored = new HashMap<>();
    try (var source = SafetensorsFile.open(file)) {
      stored.putAll(source.tensors());
    }
    String before = fingerprint(config, file);
    for (TensorInfo info : stored.values()) {
      flip(file, info.begin());
      assertThat(fingerprint(config, file)).as(info.name()).isNotEqualTo(before);
      flip(file, info.begin());
    }
    assertThat(fingerprint(config, file)).as("all bits put back").isEqualTo(before);
  }

  /// @param at a byte of the data
  private static void flip(Path path, long at) throws IOException {
    try (var file = new RandomAccessFile(path.toFile(), "rw")) {
      long position = 8 + Integer.reverseBytes(file.readInt()) + at;
      file.seek(position);
      int value = file.read();
      file.seek(position);
      file.write(value ^ 1);
    }
  }

  private static String fingerprint(CheckpointConfig config, Path file) {
    try (var source = SafetensorsFile.open(file)) {
      return Fingerprint.of(
          config,
          QuantizedTensors.isQuantized(source)
              ? new QuantizedTensors(file.toString(), source)
              : source);
    }
  }
}
