package io.xlstm4j.runtime;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// The layout of a sequence's state in its memory. Blocks add their parts while a model is built;
/// names and shapes are those of the libtorch host.
final class StateLayout {
  private final List<Part> parts = new ArrayList<>();
  private int floats;

  /// @param name `blocks.{i}.{part}`
  /// @param shape without a batch axis
  /// @param at number of its first float
  record Part(String name, long[] shape, int at, int floats) {}

  /// Adds a part after the last.
  ///
  /// @return number of its first float
  int add(String name, long... shape) {
    long count = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    int at = floats;
    parts.add(new Part(name, shape, at, Math.toIntExact(count)));
    floats = Math.toIntExact(at + count);
    return at;
  }

  List<Part> parts() {
    return parts;
  }

  /// Returns the floats of all parts together.
  int floats() {
    return floats;
  }
}
