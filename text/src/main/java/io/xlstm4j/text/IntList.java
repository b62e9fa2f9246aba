package io.xlstm4j.text;

import java.util.Arrays;

/// A growing list of ints, without boxes.
final class IntList {
  private int[] values;
  private int size;

  IntList() {
    this(4);
  }

  IntList(int capacity) {
    values = new int[Math.max(4, capacity)];
  }

  int size() {
    return size;
  }

  int get(int index) {
    return values[index];
  }

  void add(int value) {
    grow(1);
    values[size++] = value;
  }

  void addAll(int[] more) {
    grow(more.length);
    System.arraycopy(more, 0, values, size, more.length);
    size += more.length;
  }

  int[] toArray() {
    return Arrays.copyOf(values, size);
  }

  private void grow(int more) {
    if (size + more > values.length) {
      values = Arrays.copyOf(values, Math.max(size + more, values.length + (values.length >> 1)));
    }
  }
}
