package io.xlstm4j.core;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/// The recurrent state of one sequence: named float32 arrays and the count of tokens read.
///
/// Immutable. Equal when every number is equal bit for bit.
public final class ModelState {
  private final SequencedMap<String, Part> parts;
  private final long position;

  /// @param parts in the order of the model's blocks; copied
  /// @param position tokens read so far
  public ModelState(SequencedMap<String, Part> parts, long position) {
    Check.notNegative("position", position);
    this.parts = new LinkedHashMap<>(parts);
    this.position = position;
  }

  /// Tokens read so far.
  public long position() {
    return position;
  }

  /// @throws IllegalArgumentException if there is no such part
  public Part part(String name) {
    Part part = parts.get(name);
    if (part == null) {
      throw new IllegalArgumentException(
          "no state named " + name + "; this state has " + parts.keySet());
    }
    return part;
  }

  /// Every part by name, in the order of the blocks.
  public Map<String, Part> parts() {
    return Collections.unmodifiableMap(parts);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ModelState that
        && position == that.position
        && parts.equals(that.parts);
  }

  @Override
  public int hashCode() {
    return parts.hashCode() * 31 + Long.hashCode(position);
  }

  @Override
  public String toString() {
    return "ModelState[position=" + position + ", parts=" + parts.keySet() + "]";
  }

  /// One array of a state, without a batch axis.
  public static final class Part {
    private final long[] shape;
    private final float[] values;

    /// Takes `values` over: the caller must not write to it again.
    public Part(long[] shape, float[] values) {
      long count = Arrays.stream(shape).reduce(1, Math::multiplyExact);
      if (count != values.length) {
        throw new IllegalArgumentException(
            "shape %s holds %d values, but %d were given"
                .formatted(Arrays.toString(shape), count, values.length));
      }
      this.shape = shape.clone();
      this.values = values;
    }

    public long[] shape() {
      return shape.clone();
    }

    public int size() {
      return values.length;
    }

    /// A fresh copy of the values, row-major.
    public float[] values() {
      return values.clone();
    }

    /// Copies the values to `target` from `offset` on.
    public void copyTo(float[] target, int offset) {
      System.arraycopy(values, 0, target, offset, values.length);
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Part that
          && Arrays.equals(shape, that.shape)
          && Arrays.equals(values, that.values);
    }

    @Override
    public int hashCode() {
      return Arrays.hashCode(values);
    }
  }
}
