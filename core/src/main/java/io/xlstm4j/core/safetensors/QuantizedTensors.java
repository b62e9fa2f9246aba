package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Tensors of which some are stored in 8 bits: matrix NAME as `I8 [rows, columns]` beside
/// `NAME.scales`, `F32 [rows, ceil(columns / group)]`. An element stands for itself times the scale
/// of its group of columns. The group is all columns, or 32, 64 or 128, as the shapes tell.
///
/// To who does not ask for the bytes, the matrices look like the float32 they stand for.
public final class QuantizedTensors implements TensorSource {
  /// The suffix that makes the scales' name from the matrix's.
  public static final String SCALES = ".scales";

  private static final int[] GROUPS = {32, 64, 128};
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String where;
  private final TensorSource source;
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
  private final Map<String, Int8> quantized = new LinkedHashMap<>();
  private final Map<String, MemorySegment> widened = new LinkedHashMap<>();

  /// A matrix in 8 bits, as stored.
  ///
  /// @param data signed bytes `(rows, columns)`
  /// @param scales float32 `(rows, groups)`
  /// @param group columns that share a scale
  public record Int8(MemorySegment data, MemorySegment scales, int group) {}

  /// Returns whether any tensor is stored in signed bytes.
  public static boolean isQuantized(TensorSource source) {
    return source.tensors().values().stream().anyMatch(info -> info.dtype() == DType.I8);
  }

  /// @param where the name of the folder or file, for messages
  /// @param source stays the caller's, and open while this is used
  /// @throws InvalidInputException if a matrix has no scales that fit it, or scales no matrix
  public QuantizedTensors(String where, TensorSource source) {
    this.where = where;
    this.source = source;
    for (TensorInfo info : source.tensors().values()) {
      if (info.dtype() == DType.I8) {
        quantized.put(info.name(), int8(info));
        tensors.put(
            info.name(),
            new TensorInfo(info.name(), DType.F32, info.shape(), 0, 4 * info.elementCount()));
      } else if (!isScales(info.name())) {
        tensors.put(info.name(), info);
      }
    }
  }

  private boolean isScales(String name) {
    if (!name.endsWith(SCALES)) {
      return false;
    }
    String matrix = name.substring(0, name.length() - SCALES.length());
    return source.tensors().containsKey(matrix) && source.info(matrix).dtype() == DType.I8;
  }

  private Int8 int8(TensorInfo info) {
    String name = info.name() + SCALES;
    @Nullable TensorInfo scales = source.tensors().get(name);
    long[] shape = info.shape();
    if (scales == null || scales.dtype() != DType.F32 || shape.length != 2) {
      throw new InvalidInputException(
          "%s: tensor %s is I8, so it must be a matrix with float32 scales %s beside it"
              .formatted(where, OneLine.quote(info.name()), OneLine.quote(name)));
    }
    long[] scaled = scales.shape();
    if (scaled.length == 2 && scaled[0] == shape[0] && shape[1] <= Integer.MAX_VALUE) {
      if (scaled[1] == 1) {
        return new Int8(source.data(info.name()), source.data(name), (int) shape[1]);
      }
      for (int group : GROUPS) {
        if (scaled[1] == Math.ceilDiv(shape[1], group)) {
          return new Int8(source.data(info.name()), source.data(name), group);
        }
      }
    }
    throw new InvalidInputException(
        "%s: tensor %s has shape %s, but %s has %s; a scale is for a row, or for 32, 64 or 128 of its columns"
            .formatted(
                where,
                OneLine.quote(info.name()),
                TensorInfo.describe(shape),
                OneLine.quote(name),
                TensorInfo.describe(scaled)));
  }

  /// A matrix as stored, or null if it is not stored in 8 bits.
  public @Nullable Int8 int8(String name) {
    return quantized.get(name);
  }

  /// As [TensorSource#hasSameData]; matrices in 8 bits are compared as they are stored.
  @Override
  public boolean hasSameData(String name, String other) {
    @Nullable Int8 first = quantized.get(name);
    @Nullable Int8 second = quantized.get(other);
    if (first == null || second == null) {
      return first == null && second == null && TensorSource.super.hasSameData(name, other);
    }
    return first.group == second.group
        && first.data.mismatch(second.data) < 0
        && first.scales.mismatch(second.scales) < 0;
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  @Override
  public Map<String, String> metadata() {
    return source.metadata();
  }

  @Override
  public TensorInfo info(String name) {
    @Nullable TensorInfo info = tensors.get(name);
    if (info == null) {
      throw new InvalidInputException(where + ": has no tensor " + OneLine.quote(name));
    }
    return info;
  }

  /// As [TensorSource#data]; a matrix in 8 bits is widened once, into memory that lives as long as
  /// this object.
  @Override
  public synchronized MemorySegment data(String name) {
    if (!quantized.containsKey(name)) {
      info(name);
      return source.data(name);
    }
    return widened.computeIfAbsent(name, this::widen);
  }

  @SuppressWarnings("MustBeClosedChecker") // freed with the last reference to the segment
  private MemorySegment widen(String name) {
    float[] values = floats(name);
    MemorySegment copy = Arena.ofAuto().allocate((long) values.length * Float.BYTES, 8);
    MemorySegment.copy(values, 0, copy, F32, 0, values.length);
    return copy.asReadOnly();
  }

  @Override
  public float[] floats(String name) {
    @Nullable Int8 int8 = quantized.get(name);
    if (int8 == null) {
      info(name);
      return source.floats(name);
    }
    int rows = Math.toIntExact(info(name).shape()[0]);
    int columns = Math.toIntExact(info(name).shape()[1]);
    int groups = Math.ceilDiv(columns, int8.group);
    float[] values = new float[Math.multiplyExact(rows, columns)];
    for (int i = 0; i < values.length; i++) {
      long scale = (long) (i / columns) * groups + i % columns / int8.group;
      values[i] =
          int8.data.get(ValueLayout.JAVA_BYTE, i) * int8.scales.get(F32, scale * Float.BYTES);
    }
    return values;
  }

  @Override
  public double[] doubles(String name) {
    if (!quantized.containsKey(name)) {
      info(name);
      return source.doubles(name);
    }
    float[] values = floats(name);
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }

  @Override
  public long[] longs(String name) {
    info(name);
    return source.longs(name);
  }

  @Override
  public void close() {}
}
