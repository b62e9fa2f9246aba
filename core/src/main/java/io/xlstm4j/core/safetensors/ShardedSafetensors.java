package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.StrictJson;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Tensors in several safetensors files of one folder, tied together by an index that says which
/// tensor is in which file. Index and files must agree on every tensor. Or, without an index, tied
/// together by numbers in their names.
public final class ShardedSafetensors implements TensorSource {
  // at most 9999 shards: more digits would be a file of somebody else
  private static final Pattern NUMBERED =
      Pattern.compile("model_(0|[1-9][0-9]{0,3})\\.safetensors");

  private final Path index; // or the folder, if there is none
  private final SortedMap<String, SafetensorsFile> shards = new TreeMap<>(); // by file name
  private final Map<String, SafetensorsFile> shardOf = new LinkedHashMap<>(); // by tensor name
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  private ShardedSafetensors(Path index) {
    this.index = index;
  }

  /// The contents of the index file.
  ///
  /// @param weightMap file name by tensor name
  /// @param totalSize bytes of all tensors, or -1 if the index does not say
  private record Index(Map<String, String> weightMap, long totalSize) {}

  /// Opens all files that the index names, and checks them against it.
  ///
  /// @param index the index file, usually `model.safetensors.index.json`
  /// @throws InvalidInputException if the index or a file cannot be read or breaks a rule of the
  ///   format, if a file is named that is not a plain name in the same folder, if a tensor is
  ///   missing, spare, given twice or in another file than the index says, or if `total_size` is
  ///   given and wrong
  public static ShardedSafetensors open(Path index) {
    Index content = parse(OneLine.of(index), read(index));
    var opened = new ShardedSafetensors(index);
    try {
      for (var entry : content.weightMap().entrySet()) {
        opened.openShard(entry.getKey(), entry.getValue());
      }
      opened.shards.forEach((name, shard) -> opened.add(content, name, shard));
      opened.requireAll(content);
    } catch (RuntimeException | Error e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  /// Returns whether a folder has files named as by the official code of the Large family.
  static boolean isNumbered(Path folder) {
    return Files.isDirectory(folder) && !numbers(folder).isEmpty();
  }

  /// Opens `model_0.safetensors`, `model_1.safetensors` and so on, which no index ties together.
  ///
  /// @throws InvalidInputException if a file cannot be read or breaks a rule of the format, if a
  ///   number is missing, or if a tensor is in two files
  static ShardedSafetensors openNumbered(Path folder) {
    SortedSet<Integer> numbers = numbers(folder);
    for (int number = 0; number <= numbers.last(); number++) {
      if (!numbers.contains(number)) {
        throw new InvalidInputException(
            "%s: %s is missing, but %s is there"
                .formatted(OneLine.of(folder), numberedName(number), numberedName(numbers.last())));
      }
    }
    var opened = new ShardedSafetensors(folder);
    try {
      for (int number : numbers) {
        opened.addNumbered(numberedName(number));
      }
    } catch (RuntimeException | Error e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  static String numberedName(int number) {
    return "model_" + number + ".safetensors";
  }

  private static SortedSet<Integer> numbers(Path folder) {
    var numbers = new TreeSet<Integer>();
    try (Stream<Path> files = Files.list(folder)) {
      files.forEach(file -> {
        Matcher name = NUMBERED.matcher(file.getFileName().toString());
        if (name.matches()) {
          numbers.add(Integer.valueOf(name.group(1)));
        }
      });
    } catch (IOException | UncheckedIOException e) {
      throw new InvalidInputException(OneLine.of(folder) + ": cannot be listed: " + e, e);
    }
    return numbers;
  }

  private void addNumbered(String name) {
    SafetensorsFile shard = SafetensorsFile.open(index.resolve(name));
    shards.put(name, shard);
    for (TensorInfo info : shard.tensors().values()) {
      if (tensors.putIfAbsent(info.name(), info) != null) {
        throw new InvalidInputException(
            "%s: tensor %s is in %s and in a file before it"
                .formatted(OneLine.of(index), OneLine.quote(info.name()), name));
      }
      shardOf.put(info.name(), shard);
    }
    shard.metadata().forEach((key, value) -> addMetadata(name, key, value));
  }

  private static byte[] read(Path index) {
    if (!Files.isRegularFile(index)) {
      throw new InvalidInputException(
          OneLine.of(index) + ": " + (Files.exists(index) ? "not a regular file" : "no such file"));
    }
    int limit = (int) SafetensorsFile.MAX_HEADER_BYTES; // an index says less than a header
    try (InputStream in = Files.newInputStream(index)) {
      if (Files.size(index) <= limit) {
        byte[] bytes = in.readNBytes(limit + 1);
        if (bytes.length <= limit) {
          return bytes;
        }
      }
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(index) + ": cannot be read: " + OneLine.reason(e), e);
    }
    throw new InvalidInputException(OneLine.of(index) + ": is longer than " + limit + " bytes");
  }

  private static Index parse(String where, byte[] utf8) {
    var json = new StrictJson(where, utf8);
    @Nullable Map<String, String> weightMap = null;
    long totalSize = -1;
    json.beginObject("the index");
    for (@Nullable String key; (key = json.nextKey()) != null; ) {
      switch (key) {
        case "weight_map" -> weightMap = weightMap(where, json);
        case "metadata" -> totalSize = totalSize(json);
        default -> json.skip(); // a place for notes of other programs
      }
    }
    json.end();
    if (weightMap == null) {
      throw new InvalidInputException(where + ": has no weight_map");
    }
    return new Index(weightMap, totalSize);
  }

  private static Map<String, String> weightMap(String where, StrictJson json) {
    var map = new LinkedHashMap<String, String>();
    json.beginObject("weight_map");
    for (@Nullable String tensor; (tensor = json.nextKey()) != null; ) {
      String shard = json.string("weight_map " + OneLine.quote(tensor));
      if (!isPlainName(shard)) {
        throw new InvalidInputException(
            "%s: weight_map %s: %s must be the plain name of a file in the same folder"
                .formatted(where, OneLine.quote(tensor), OneLine.quote(shard)));
      }
      map.put(tensor, shard);
    }
    return map;
  }

  /// Returns whether `name` can only mean a file in the same folder, on every system.
  private static boolean isPlainName(String name) {
    return !name.isEmpty()
        && !name.equals(".")
        && !name.equals("..")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
  }

  private static long totalSize(StrictJson json) {
    long totalSize = -1;
    json.beginObject("metadata");
    for (@Nullable String key; (key = json.nextKey()) != null; ) {
      if (key.equals("total_size")) {
        totalSize = json.count("total_size");
      } else {
        json.skip();
      }
    }
    return totalSize;
  }

  private void openShard(String tensor, String name) {
    if (shards.containsKey(name)) {
      return;
    }
    try {
      shards.put(name, SafetensorsFile.open(index.resolveSibling(name)));
    } catch (InvalidPathException e) {
      throw new InvalidInputException(
          "%s: weight_map %s: %s is no file name on this system"
              .formatted(OneLine.of(index), OneLine.quote(tensor), OneLine.quote(name)),
          e);
    }
  }

  private void add(Index content, String name, SafetensorsFile shard) {
    shard.tensors().forEach((tensor, info) -> add(content, name, shard, info));
    shard.metadata().forEach((key, value) -> addMetadata(name, key, value));
  }

  private void add(Index content, String name, SafetensorsFile shard, TensorInfo info) {
    @Nullable String expected = content.weightMap().get(info.name());
    if (!name.equals(expected)) {
      throw new InvalidInputException(
          "%s: tensor %s is in %s, but weight_map %s"
              .formatted(
                  OneLine.of(index),
                  OneLine.quote(info.name()),
                  OneLine.quote(name),
                  expected == null ? "does not name it" : "says " + OneLine.quote(expected)));
    }
    tensors.put(info.name(), info);
    shardOf.put(info.name(), shard);
  }

  private void addMetadata(String name, String key, String value) {
    @Nullable String before = metadata.putIfAbsent(key, value);
    if (before != null && !before.equals(value)) {
      throw new InvalidInputException(
          "%s: __metadata__ %s is %s in %s, but %s in a file before it"
              .formatted(
                  OneLine.of(index),
                  OneLine.quote(key),
                  OneLine.quote(value),
                  OneLine.quote(name),
                  OneLine.quote(before)));
    }
  }

  private void requireAll(Index content) {
    content
        .weightMap()
        .forEach((tensor, shard) -> {
          if (!tensors.containsKey(tensor)) {
            throw new InvalidInputException(
                "%s: weight_map says that tensor %s is in %s, but it is not"
                    .formatted(OneLine.of(index), OneLine.quote(tensor), OneLine.quote(shard)));
          }
        });
    long found = tensors.values().stream().mapToLong(TensorInfo::byteSize).sum();
    if (content.totalSize() >= 0 && content.totalSize() != found) {
      throw new InvalidInputException(
          "%s: total_size is %d, but the tensors have %d bytes"
              .formatted(OneLine.of(index), content.totalSize(), found));
    }
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  @Override
  public Map<String, String> metadata() {
    return Collections.unmodifiableMap(metadata);
  }

  @Override
  public TensorInfo info(String name) {
    return shard(name).info(name);
  }

  @Override
  public MemorySegment data(String name) {
    return shard(name).data(name);
  }

  @Override
  public float[] floats(String name) {
    return shard(name).floats(name);
  }

  @Override
  public double[] doubles(String name) {
    return shard(name).doubles(name);
  }

  @Override
  public long[] longs(String name) {
    return shard(name).longs(name);
  }

  private SafetensorsFile shard(String tensor) {
    @Nullable SafetensorsFile shard = shardOf.get(tensor);
    if (shard == null) {
      throw new InvalidInputException(
          OneLine.of(index) + ": has no tensor " + OneLine.quote(tensor));
    }
    return shard;
  }

  @Override
  public void close() {
    shards.values().forEach(SafetensorsFile::close);
  }
}
