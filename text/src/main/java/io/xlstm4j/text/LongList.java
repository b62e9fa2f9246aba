package io.xlstm4j.text;

import java.util.Arrays;

/// A growing list of longs, without boxes.
final class LongList {
  private long[] values = new long[4];
  private int size;

  int size() {
    return size;
  }

  long get(int index) {
    return values[index];
  }

  void add(long value) {
    grow(1);
    values[size++] = value;
  }

  void addAll(LongList more) {
    grow(more.size);
    System.arraycopy(more.values, 0, values, size, more.size);
    size += more.size;
  }

  private void grow(int more) {
    int needed = Math.addExact(size, more);
    if (needed > values.length) {
      values = Arrays.copyOf(values, (int) Math.max(needed, values.length * 3L / 2));
    }
  }
}
