package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.StrictJson;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The JSON header of a safetensors file, checked against the size of the data behind it.
///
/// @param tensors by name, in the order of their data; together they cover it without gap or
///   overlap
/// @param metadata the strings under `__metadata__`
record Header(Map<String, TensorInfo> tensors, Map<String, String> metadata) {
  static final String METADATA = "__metadata__";

  // As in PyTorch and NumPy. Without a limit a header of zeros would fill the heap.
  private static final int MAX_RANK = 64;

  /// Parses and checks.
  ///
  /// @param where names the file in messages
  /// @param dataBytes size of the data section
  static Header parse(String where, byte[] utf8, long dataBytes) {
    if (utf8.length == 0 || utf8[0] != '{') {
      throw new InvalidInputException(where + ": the header must start with '{'");
    }
    var json = new StrictJson(where, utf8);
    var tensors = new ArrayList<TensorInfo>();
    Map<String, String> metadata = Map.of();
    json.beginObject("the header");
    for (@Nullable String name; (name = json.nextKey()) != null; ) {
      if (name.equals(METADATA)) {
        metadata = strings(json);
      } else {
        tensors.add(tensor(where, json, name));
      }
    }
    json.end();
    tensors.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
    requireCover(where, tensors, dataBytes);
    var byName = new LinkedHashMap<String, TensorInfo>();
    tensors.forEach(info -> byName.put(info.name(), info));
    return new Header(Collections.unmodifiableMap(byName), Collections.unmodifiableMap(metadata));
  }

  private static Map<String, String> strings(StrictJson json) {
    var strings = new LinkedHashMap<String, String>();
    json.beginObject(METADATA);
    for (@Nullable String key; (key = json.nextKey()) != null; ) {
      strings.put(key, json.string(METADATA + " " + OneLine.quote(key)));
    }
    return strings;
  }

  private static TensorInfo tensor(String where, StrictJson json, String name) {
    String tensor = "tensor " + OneLine.quote(name);
    @Nullable DType dtype = null;
    long @Nullable [] shape = null;
    long @Nullable [] offsets = null;
    json.beginObject(tensor);
    for (@Nullable String key; (key = json.nextKey()) != null; ) {
      switch (key) {
        case "dtype" -> dtype = dtype(where, tensor, json.string(tensor + ": dtype"));
        case "shape" -> shape = counts(where, json, tensor + ": shape");
        case "data_offsets" -> offsets = counts(where, json, tensor + ": data_offsets");
        default ->
            throw new InvalidInputException(
                "%s: %s: unknown key %s; known are dtype, shape, data_offsets"
                    .formatted(where, tensor, OneLine.quote(key)));
      }
    }
    if (dtype == null || shape == null || offsets == null) {
      String missing = dtype == null ? "dtype" : shape == null ? "shape" : "data_offsets";
      throw new InvalidInputException("%s: %s: has no %s".formatted(where, tensor, missing));
    }
    if (offsets.length != 2) {
      throw new InvalidInputException(
          "%s: %s: data_offsets must be 2 numbers, but are %d"
              .formatted(where, tensor, offsets.length));
    }
    try {
      return new TensorInfo(name, dtype, shape, offsets[0], offsets[1]);
    } catch (IllegalArgumentException e) {
      throw new InvalidInputException(where + ": " + tensor + ": " + e.getMessage(), e);
    }
  }

  private static DType dtype(String where, String tensor, String name) {
    for (DType dtype : DType.values()) {
      if (dtype.name().equals(name)) {
        return dtype;
      }
    }
    throw new InvalidInputException(
        "%s: %s: unknown dtype %s; known are %s"
            .formatted(where, tensor, OneLine.quote(name), List.of(DType.values())));
  }

  private static long[] counts(String where, StrictJson json, String what) {
    long[] counts = new long[MAX_RANK];
    int length = 0;
    json.beginArray(what);
    for (long count; (count = json.nextCount(what)) >= 0; ) {
      if (length == MAX_RANK) {
        throw new InvalidInputException(
            "%s: %s has more than %d numbers".formatted(where, what, MAX_RANK));
      }
      counts[length++] = count;
    }
    return Arrays.copyOf(counts, length);
  }

  private static void requireCover(String where, List<TensorInfo> inOrder, long dataBytes) {
    long covered = 0;
    for (TensorInfo info : inOrder) {
      String tensor = "tensor " + OneLine.quote(info.name());
      if (info.end() > dataBytes) {
        throw new InvalidInputException(
            "%s: %s: ends at byte %d, but the data has %d; cut short?"
                .formatted(where, tensor, info.end(), dataBytes));
      }
      if (info.begin() != covered) {
        throw new InvalidInputException(
            "%s: %s: begins at byte %d, but the one before ends at %d: %s"
                .formatted(
                    where,
                    tensor,
                    info.begin(),
                    covered,
                    info.begin() < covered ? "they overlap" : "a hole"));
      }
      covered = info.end();
    }
    if (covered != dataBytes) {
      throw new InvalidInputException(
          "%s: the tensors end at byte %d, but the data has %d"
              .formatted(where, covered, dataBytes));
    }
  }
}
