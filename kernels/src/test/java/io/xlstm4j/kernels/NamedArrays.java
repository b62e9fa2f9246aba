package io.xlstm4j.kernels;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Arrays by name; asking for one that is not there is an error.
public final class NamedArrays {
  private final Map<String, double[]> arrays = new LinkedHashMap<>();

  void put(String name, double[] array) {
    arrays.put(name, array);
  }

  double[] at(String name) {
    double @Nullable [] found = arrays.get(name);
    if (found == null) {
      throw new IllegalArgumentException(name + " is none of " + arrays.keySet());
    }
    return found;
  }

  boolean has(String name) {
    return arrays.containsKey(name);
  }

  Set<String> names() {
    return arrays.keySet();
  }
}
