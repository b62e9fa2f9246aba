package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import io.xlstm4j.core.InvalidInputException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Damages good files at random; `-Dxlstm4j.fuzz=1000000` damages more of them.
class MutationFuzzTest {
  private static final int COUNT = Integer.getInteger("xlstm4j.fuzz", 20_000);

  /// Pieces that matter to the parsers.
  private static final List<String> PIECES =
      List.of(
          "{",
          "}",
          "[",
          "]",
          "\"",
          ",",
          ":",
          "\\",
          "\\ud800",
          "null",
          "-1",
          "1e9",
          "0.5",
          "[]",
          "{}",
          "9223372036854775807",
          "18446744073709551616",
          "\"__metadata__\":{}",
          "\"F64\"",
          "\"shape\"",
          "../",
          "a-1.safetensors",
          "total_size",
          "\0",
          "\u00ff",
          "[[[[[[[[",
          "0,",
          ",0");

  @TempDir Path folder;

  @Test
  void a_damaged_file_is_read_or_refused_and_nothing_else() throws Exception {
    byte[] good =
        Files.readAllBytes(Path.of("src/test/resources/safetensors/reference.safetensors"));
    Path file = folder.resolve("x.safetensors");
    var random = new Random(1);
    int refused = 0;
    for (int i = 0; i < COUNT; i++) {
      byte[] bytes = mutated(random, good, 600);
      RawFile.write(file, bytes);
      try (var source = SafetensorsFile.open(file)) {
        readAll(source);
      } catch (InvalidInputException e) {
        requireOneLine(e, file, i);
        refused++;
      }
    }
    assertThat(refused).isBetween(COUNT / 2, COUNT - 1); // both outcomes were met
  }

  @Test
  void a_damaged_index_is_read_or_refused_and_nothing_else() throws Exception {
    SafetensorsWriter.writeSharded(
        folder,
        List.of(
            TensorData.of("a", DType.F32, new long[] {2}, 1, 2),
            TensorData.of("b", DType.F32, new long[] {1}, 3)),
        Map.of("format", "pt"),
        8);
    Path index = folder.resolve(TensorSource.INDEX_FILE);
    byte[] good = Files.readAllBytes(index);
    var random = new Random(2);
    int refused = 0;
    for (int i = 0; i < COUNT / 2; i++) {
      RawFile.write(index, mutated(random, good, good.length));
      try (var source = ShardedSafetensors.open(index)) {
        readAll(source);
      } catch (InvalidInputException e) {
        requireOneLine(e, folder, i);
        refused++;
      }
    }
    assertThat(refused).isBetween(COUNT / 4, COUNT / 2 - 1);
  }

  private static void readAll(TensorSource source) {
    for (TensorInfo info : source.tensors().values()) {
      int read =
          info.dtype().isFloat()
              ? source.floats(info.name()).length
              : source.longs(info.name()).length;
      if (read != info.elementCount()) { // plain, because it runs a million times
        throw new AssertionError(info + " gave " + read);
      }
    }
  }

  private static void requireOneLine(InvalidInputException e, Path where, int round) {
    String message = String.valueOf(e.getMessage());
    if (message.length() > 1_000
        || message.lines().count() != 1
        || !message.startsWith(where.toString())) {
      throw new AssertionError("round " + round + ": " + message, e);
    }
  }

  /// One to four random changes within the first `window` bytes.
  private static byte[] mutated(Random random, byte[] good, int window) {
    byte[] bytes = good;
    for (int changes = 1 + random.nextInt(4); changes > 0; changes--) {
      int limit = Math.min(window, bytes.length);
      int at = limit == 0 ? 0 : random.nextInt(limit);
      int length = Math.min(random.nextInt(16), bytes.length - at);
      bytes =
          switch (random.nextInt(7)) {
            case 0 -> set(bytes, at, (byte) random.nextInt(256));
            case 1 -> set(bytes, at, (byte) ('0' + random.nextInt(10)));
            case 2 -> splice(bytes, at, 0, piece(random)); // insert
            case 3 -> splice(bytes, at, length, piece(random)); // replace
            case 4 -> splice(bytes, at, length, new byte[0]); // delete
            case 5 -> // repeat another stretch
                splice(
                    bytes, at, 0, Arrays.copyOfRange(bytes, at / 2, at / 2 + Math.min(60, at / 2)));
            default -> random.nextInt(8) == 0 ? Arrays.copyOf(bytes, at) : repaired(bytes);
          };
    }
    // Mostly with a length that fits again, else few mutations would pass the first check.
    return random.nextInt(10) == 0 || good[0] == '{' ? bytes : repaired(bytes);
  }

  /// `bytes` with the length of the header set to the end of its last brace.
  private static byte[] repaired(byte[] bytes) {
    int brace = new String(bytes, StandardCharsets.ISO_8859_1).lastIndexOf('}');
    if (brace < 8) {
      return bytes;
    }
    byte[] copy = bytes.clone();
    ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN).putLong(0, (brace + 8) / 8 * 8 - 8);
    return copy;
  }

  private static byte[] piece(Random random) {
    return PIECES.get(random.nextInt(PIECES.size())).getBytes(StandardCharsets.ISO_8859_1);
  }

  private static byte[] set(byte[] bytes, int at, byte value) {
    return bytes.length == 0 ? bytes : splice(bytes, at, 1, new byte[] {value});
  }

  private static byte[] splice(byte[] bytes, int at, int removed, byte[] added) {
    return ByteBuffer.allocate(bytes.length - removed + added.length)
        .put(bytes, 0, at)
        .put(added)
        .put(bytes, at + removed, bytes.length - at - removed)
        .array();
  }
}
