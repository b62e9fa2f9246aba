package io.xlstm4j.runtime;

import io.xlstm4j.core.config.CheckpointConfig;
import io.xlstm4j.core.safetensors.QuantizedTensors;
import io.xlstm4j.core.safetensors.TensorInfo;
import io.xlstm4j.core.safetensors.TensorSource;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;

/// Identifies a model's weights without reading all of them: SHA-256 of the configuration, of each
/// tensor's name, type and shape, and of up to 16 pieces of 4 KiB spread evenly over its bytes.
/// Training changes every tensor nearly everywhere; a file altered by hand in few places only may
/// keep its fingerprint.
final class Fingerprint {
  private static final int PIECES = 16;
  private static final int PIECE = 4096;

  private Fingerprint() {}

  static String of(CheckpointConfig checkpoint, TensorSource source) {
    MessageDigest digest = sha256();
    digest.update(checkpoint.toJson().getBytes(StandardCharsets.UTF_8));
    for (Map.Entry<String, TensorInfo> entry : new TreeMap<>(source.tensors()).entrySet()) {
      TensorInfo info = entry.getValue();
      String description = entry.getKey() + info.dtype() + Arrays.toString(info.shape());
      digest.update(description.getBytes(StandardCharsets.UTF_8));
      QuantizedTensors.Int8 int8 =
          source instanceof QuantizedTensors quantized ? quantized.int8(entry.getKey()) : null;
      if (int8 == null) {
        sample(source.data(entry.getKey()), digest);
      } else {
        sample(int8.data(), digest);
        sample(int8.scales(), digest);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void sample(MemorySegment data, MessageDigest digest) {
    long size = data.byteSize();
    if (size <= (long) PIECES * PIECE) {
      digest.update(data.toArray(ValueLayout.JAVA_BYTE));
      return;
    }
    for (int i = 0; i < PIECES; i++) {
      long at = (size - PIECE) * i / (PIECES - 1); // the last piece ends with the data
      digest.update(data.asSlice(at, PIECE).toArray(ValueLayout.JAVA_BYTE));
    }
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
