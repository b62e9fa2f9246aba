package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.StrictJson;
import io.xlstm4j.core.files.AtomicFile;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;

/// Writes safetensors files, the same bytes as the reference implementation: wide elements first,
/// then by name, without gaps, the header padded to a multiple of 8. (The reference writes several
/// metadata keys in random order; we write them sorted.)
///
/// A file appears under its name only when it is whole and on the disk. If writing fails, for
/// example because the disk is full, the old file is as it was.
public final class SafetensorsWriter {
  private static final int CHUNK = 1 << 20;

  // The order in which the reference writer puts the element types.
  private static final List<DType> ORDER =
      List.of(
          DType.I64, DType.F64, DType.F32, DType.I32, DType.BF16, DType.F16, DType.I8, DType.U8);

  private SafetensorsWriter() {}

  /// Writes one file. Data is streamed; memory for the header and 1 MiB is enough.
  ///
  /// @param metadata free-form strings; if empty, the header has none
  /// @throws IllegalArgumentException if two tensors have one name, a string has an unpaired
  ///   surrogate, or the header would be longer than the 100 MB that readers accept
  /// @throws InvalidInputException if the system refuses; the message names the file and the cause
  public static void write(
      Path file, List<? extends TensorToWrite> tensors, Map<String, String> metadata) {
    List<? extends TensorToWrite> ordered = inFileOrder(tensors);
    byte[] header = header(ordered, metadata);
    AtomicFile.write(
        file,
        channel -> {
          AtomicFile.writeFully(channel, ByteBuffer.wrap(header));
          var chunk = ByteBuffer.allocateDirect(CHUNK);
          for (TensorToWrite tensor : ordered) {
            copy(tensor, channel, chunk);
          }
        });
  }

  /// Writes the tensors into as few files as the order allows, `model-00001-of-00003.safetensors`
  /// and so on, and then their index, `model.safetensors.index.json`. Each file is replaced as one
  /// step, the set of files is not: for that, write inside a
  /// `io.xlstm4j.core.checkpoint.CheckpointFolder`. Files of an earlier set are not removed.
  ///
  /// @param folder created if missing; its parent must exist
  /// @param metadata as in [#write], in every file
  /// @param maxShardBytes the most tensor data in one file; a larger tensor has a file of its own
  /// @throws IllegalArgumentException as [#write], or if `maxShardBytes` is not positive
  /// @throws InvalidInputException as [#write]
  public static void writeSharded(
      Path folder,
      List<? extends TensorToWrite> tensors,
      Map<String, String> metadata,
      long maxShardBytes) {
    Check.positive("maxShardBytes", maxShardBytes);
    requireUniqueNames(tensors);
    createFolder(folder);
    List<List<TensorToWrite>> shards = split(tensors, maxShardBytes);
    var shardOf = new TreeMap<String, String>();
    for (int i = 0; i < shards.size(); i++) {
      String name =
          String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", i + 1, shards.size());
      write(folder.resolve(name), shards.get(i), metadata);
      shards.get(i).forEach(tensor -> shardOf.put(tensor.name(), name));
    }
    long totalSize = tensors.stream().mapToLong(tensor -> tensor.byteSize()).sum();
    byte[] index = index(shardOf, totalSize).getBytes(StandardCharsets.UTF_8);
    AtomicFile.write(
        folder.resolve(TensorSource.INDEX_FILE),
        channel -> AtomicFile.writeFully(channel, ByteBuffer.wrap(index)));
  }

  /// Writes the tensors into `model_0.safetensors`, `model_1.safetensors` and so on without an
  /// index, as the official code of the Large family reads them; else as [#writeSharded].
  public static void writeNumbered(
      Path folder,
      List<? extends TensorToWrite> tensors,
      Map<String, String> metadata,
      long maxShardBytes) {
    Check.positive("maxShardBytes", maxShardBytes);
    requireUniqueNames(tensors);
    createFolder(folder);
    List<List<TensorToWrite>> shards = split(tensors, maxShardBytes);
    for (int i = 0; i < shards.size(); i++) {
      write(folder.resolve(ShardedSafetensors.numberedName(i)), shards.get(i), metadata);
    }
  }

  private static List<TensorToWrite> inFileOrder(List<? extends TensorToWrite> tensors) {
    requireUniqueNames(tensors);
    return tensors.stream()
        .<TensorToWrite>map(tensor -> tensor)
        .sorted(
            Comparator.comparingInt((TensorToWrite tensor) -> ORDER.indexOf(tensor.dtype()))
                // by UTF-8 bytes: UTF-16 would order some rare characters otherwise
                .thenComparing(
                    tensor -> tensor.name().getBytes(StandardCharsets.UTF_8),
                    Arrays::compareUnsigned))
        .toList();
  }

  private static void requireUniqueNames(List<? extends TensorToWrite> tensors) {
    var names = new HashSet<String>();
    for (TensorToWrite tensor : tensors) {
      if (!names.add(tensor.name())) {
        throw new IllegalArgumentException("two tensors are named " + OneLine.quote(tensor.name()));
      }
    }
  }

  /// Length and JSON.
  private static byte[] header(
      List<? extends TensorToWrite> ordered, Map<String, String> metadata) {
    var json = new StringJoiner(",", "{", "}");
    if (!metadata.isEmpty()) {
      var strings = new StringJoiner(",", "{", "}");
      new TreeMap<>(metadata)
          .forEach(
              (key, value) -> strings.add(StrictJson.quote(key) + ":" + StrictJson.quote(value)));
      json.add("\"" + Header.METADATA + "\":" + strings);
    }
    long begin = 0;
    for (TensorToWrite tensor : ordered) {
      long end = Math.addExact(begin, tensor.byteSize());
      // concatenated: a format would write the digits of the user's language
      json.add(
          StrictJson.quote(tensor.name())
              + (":{\"dtype\":\"" + tensor.dtype() + "\",\"shape\":")
              + Arrays.toString(tensor.shape()).replace(" ", "")
              + (",\"data_offsets\":[" + begin + "," + end + "]}"));
      begin = end;
    }
    byte[] utf8 = json.toString().getBytes(StandardCharsets.UTF_8);
    int padded = Math.ceilDiv(utf8.length, 8) * 8;
    if (padded > SafetensorsFile.MAX_HEADER_BYTES) {
      throw new IllegalArgumentException(
          "the header would take %d bytes, but readers accept %d"
              .formatted(padded, SafetensorsFile.MAX_HEADER_BYTES));
    }
    requireReadable(utf8, begin);
    var header = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(padded).put(utf8);
    Arrays.fill(header.array(), header.position(), header.capacity(), (byte) ' ');
    return header.array();
  }

  /// Refuses what our own reader would refuse, such as names that are too long.
  private static void requireReadable(byte[] utf8, long dataBytes) {
    try {
      Header.parse("the new header", utf8, dataBytes);
    } catch (InvalidInputException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  private static void copy(TensorToWrite data, FileChannel channel, ByteBuffer chunk)
      throws IOException {
    MemorySegment staging = MemorySegment.ofBuffer(chunk.clear());
    for (long at = 0; at < data.byteSize(); at += CHUNK) {
      long length = Math.min(CHUNK, data.byteSize() - at);
      data.copyTo(at, staging.asSlice(0, length));
      AtomicFile.writeFully(channel, chunk.clear().limit((int) length));
    }
  }

  private static List<List<TensorToWrite>> split(
      List<? extends TensorToWrite> tensors, long maxShardBytes) {
    var shards = new ArrayList<List<TensorToWrite>>();
    var shard = new ArrayList<TensorToWrite>();
    long bytes = 0;
    for (TensorToWrite tensor : tensors) {
      long size = tensor.byteSize();
      if (!shard.isEmpty() && size > maxShardBytes - bytes) {
        shards.add(shard);
        shard = new ArrayList<>();
        bytes = 0;
      }
      shard.add(tensor);
      bytes += size;
    }
    shards.add(shard);
    return shards;
  }

  private static String index(Map<String, String> shardOf, long totalSize) {
    var weightMap = new StringJoiner(",\n", "{\n", "\n  }");
    shardOf.forEach((tensor, shard) ->
        weightMap.add("    " + StrictJson.quote(tensor) + ": " + StrictJson.quote(shard)));
    return """
    {
      "metadata": {
        "total_size": TOTAL
      },
      "weight_map": MAP
    }
    """
        .replace("TOTAL", Long.toString(totalSize))
        .replace("MAP", weightMap.toString());
  }

  private static void createFolder(Path folder) {
    try {
      if (!Files.isDirectory(folder)) {
        Files.createDirectory(folder);
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(folder) + ": cannot be created: " + OneLine.reason(e), e);
    }
  }
}
