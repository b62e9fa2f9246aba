package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.Check;
import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Tensors put together from rows of other tensors: under another name, a part of one, or several
/// on top of each other. Only what consists of more than one piece is copied, when it is read.
///
/// Does not own the tensors it is made of: to close it does nothing to them.
public final class ComposedTensors implements TensorSource {
  private final String where;
  private final TensorSource source;
  private final Map<String, List<Rows>> pieces = new LinkedHashMap<>();
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();

  /// Rows of one tensor, that is, of its first axis.
  ///
  /// @param tensor its name
  /// @param from the first row
  /// @param count how many, -1 for all from the first on, or -2 for zeros in place of all
  public record Rows(String tensor, long from, long count) {
    public Rows {
      Check.notNegative("from", from);
    }

    private static final long ZEROS = -2;

    /// The whole tensor.
    public static Rows all(String tensor) {
      return new Rows(tensor, 0, -1);
    }

    /// Zeros of the shape and type of a tensor.
    public static Rows zeros(String tensor) {
      return new Rows(tensor, 0, ZEROS);
    }
  }

  /// @param where the name of the folder or file, for messages
  /// @param source must stay open while this is used
  /// @param pieces what each new tensor consists of, top to bottom; at least one piece each
  /// @throws InvalidInputException if a piece is of no tensor of the source, or reaches below its
  ///   last row, or if pieces of one tensor differ in type or in the shape of a row
  public ComposedTensors(String where, TensorSource source, Map<String, List<Rows>> pieces) {
    this.where = OneLine.of(where);
    this.source = source;
    long begin = 0;
    for (Map.Entry<String, List<Rows>> entry : pieces.entrySet()) {
      List<Rows> exact = entry.getValue().stream().map(this::counted).toList();
      TensorInfo info = stacked(entry.getKey(), exact, begin);
      this.pieces.put(entry.getKey(), exact);
      this.tensors.put(entry.getKey(), info);
      begin = info.end();
    }
  }

  private Rows counted(Rows rows) {
    TensorInfo info = source.info(rows.tensor);
    if (rows.from == 0 && rows.count < 0) {
      return rows; // also a scalar, which has no rows
    }
    long[] shape = info.shape();
    long all = shape.length == 0 ? 0 : shape[0];
    long count = rows.count < 0 ? all - rows.from : rows.count;
    if (count < 0 || rows.from > all - count) {
      throw new InvalidInputException(
          "%s: tensor %s has shape %s, but rows %d to %d are asked for"
              .formatted(
                  where,
                  OneLine.quote(rows.tensor),
                  TensorInfo.describe(shape),
                  rows.from,
                  rows.from + count));
    }
    return new Rows(rows.tensor, rows.from, count);
  }

  private TensorInfo stacked(String name, List<Rows> pieces, long begin) {
    TensorInfo first = source.info(pieces.getFirst().tensor);
    long[] shape = first.shape();
    long bytes = 0;
    long height = 0;
    for (Rows rows : pieces) {
      TensorInfo info = source.info(rows.tensor);
      long[] other = info.shape();
      boolean fits = other.length == shape.length && info.dtype() == first.dtype();
      for (int axis = 1; fits && axis < shape.length; axis++) {
        fits = other[axis] == shape[axis];
      }
      if (!fits) {
        throw new InvalidInputException(
            "%s: tensors %s (%s %s) and %s (%s %s) cannot be stacked"
                .formatted(
                    where,
                    OneLine.quote(first.name()),
                    first.dtype(),
                    TensorInfo.describe(shape),
                    OneLine.quote(info.name()),
                    info.dtype(),
                    TensorInfo.describe(other)));
      }
      bytes += byteSize(rows);
      height += rows.count >= 0 ? rows.count : other.length == 0 ? 1 : other[0];
    }
    if (shape.length > 0) {
      shape[0] = height;
    } else if (pieces.size() > 1) {
      throw new InvalidInputException(
          where + ": tensor " + OneLine.quote(first.name()) + " is a number and cannot be stacked");
    }
    return new TensorInfo(name, first.dtype(), shape, begin, begin + bytes);
  }

  private long rowBytes(Rows rows) {
    TensorInfo info = source.info(rows.tensor);
    long height = info.shape()[0];
    return height == 0 ? 0 : info.byteSize() / height;
  }

  private long byteSize(Rows rows) {
    return rows.count < 0 ? source.info(rows.tensor).byteSize() : rows.count * rowBytes(rows);
  }

  @SuppressWarnings("MustBeClosedChecker") // freed with the last reference to the segment
  private MemorySegment data(Rows rows) {
    if (rows.count == Rows.ZEROS) {
      return Arena.ofAuto().allocate(byteSize(rows), 8).asReadOnly();
    }
    MemorySegment all = source.data(rows.tensor);
    return rows.count < 0 ? all : all.asSlice(rows.from * rowBytes(rows), byteSize(rows));
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  @Override
  public Map<String, String> metadata() {
    return source.metadata();
  }

  /// As [TensorSource#data]; a tensor of several pieces is copied into memory of its own, which is
  /// freed with the last reference to it.
  @Override
  @SuppressWarnings("MustBeClosedChecker") // freed with the last reference to the segment
  public MemorySegment data(String name) {
    info(name);
    List<Rows> of = pieces.getOrDefault(name, List.of());
    if (of.size() == 1) {
      return data(of.getFirst());
    }
    MemorySegment copy = Arena.ofAuto().allocate(info(name).byteSize(), 8);
    long at = 0;
    for (Rows rows : of) {
      MemorySegment piece = data(rows);
      MemorySegment.copy(piece, 0, copy, at, piece.byteSize());
      at += piece.byteSize();
    }
    return copy.asReadOnly();
  }

  /// The bytes of one tensor piece by piece, none of them copied.
  public List<MemorySegment> pieces(String name) {
    info(name);
    return pieces.getOrDefault(name, List.of()).stream().map(this::data).toList();
  }

  @Override
  public float[] floats(String name) {
    return Elements.floats(where, info(name), data(name));
  }

  @Override
  public double[] doubles(String name) {
    return Elements.doubles(where, info(name), data(name));
  }

  @Override
  public long[] longs(String name) {
    return Elements.longs(where, info(name), data(name));
  }

  @Override
  public TensorInfo info(String name) {
    @Nullable TensorInfo info = tensors.get(name);
    if (info == null) {
      throw new InvalidInputException(where + ": has no tensor " + OneLine.quote(name));
    }
    return info;
  }

  @Override
  public void close() {}

  @Override
  public String toString() {
    return "ComposedTensors" + Arrays.toString(tensors.keySet().toArray());
  }
}
