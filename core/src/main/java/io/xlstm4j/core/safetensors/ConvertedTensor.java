package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/// A floating-point tensor on its way into another type, made of pieces on top of each other.
///
/// Numbers are rounded to the nearest, ties to even; on the way from float64 to a half type, to
/// float32 first. A finite number beyond the largest of the new type is an error.
public final class ConvertedTensor implements TensorToWrite {
  private static final ValueLayout.OfShort I16 =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfDouble F64 =
      ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final String name;
  private final DType from;
  private final DType to;
  private final long[] shape;
  private final List<MemorySegment> pieces;
  private final long elements;

  /// @param name the name it will have
  /// @param info type and shape of the elements as they are
  /// @param pieces the elements, which must stay as they are until the file is written
  /// @param to the type they will have
  /// @throws IllegalArgumentException if either type is of integers and they differ, or if the
  ///   pieces do not hold as many elements as the shape says
  public ConvertedTensor(String name, TensorInfo info, List<MemorySegment> pieces, DType to) {
    this.name = name;
    this.from = info.dtype();
    this.to = to;
    this.shape = info.shape();
    this.pieces = List.copyOf(pieces);
    this.elements = info.elementCount();
    if (from != to && !(from.isFloat() && to.isFloat())) {
      throw new IllegalArgumentException(from + " cannot be turned into " + to);
    }
    long bytes = pieces.stream().mapToLong(MemorySegment::byteSize).sum();
    if (bytes != info.byteSize()) {
      throw new IllegalArgumentException(
          "%s needs %d bytes, but the pieces have %d".formatted(info, info.byteSize(), bytes));
    }
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public DType dtype() {
    return to;
  }

  @Override
  public long[] shape() {
    return shape.clone();
  }

  @Override
  public long byteSize() {
    return elements * to.bytes();
  }

  @Override
  public void copyTo(long at, MemorySegment target) {
    long element = at / to.bytes();
    long wanted = target.byteSize() / to.bytes();
    long done = 0;
    long begin = 0; // of the piece, in elements
    for (MemorySegment piece : pieces) {
      long length = piece.byteSize() / from.bytes();
      long first = Math.max(element + done, begin);
      long count = Math.min(begin + length - first, wanted - done);
      if (count > 0) {
        convert(
            piece.asSlice((first - begin) * from.bytes(), count * from.bytes()),
            target.asSlice(done * to.bytes(), count * to.bytes()),
            count);
        done += count;
      }
      begin += length;
    }
  }

  private void convert(MemorySegment source, MemorySegment target, long count) {
    if (from == to) {
      target.copyFrom(source);
      return;
    }
    for (long i = 0; i < count; i++) {
      put(target, i, get(source, i)); // a float is exact as a double
    }
  }

  private double get(MemorySegment source, long i) {
    return switch (from) {
      case F32 -> source.get(F32, 4 * i);
      case BF16 -> BFloat16.toFloat(source.get(I16, 2 * i));
      case F16 -> Float.float16ToFloat(source.get(I16, 2 * i));
      case F64 -> source.get(F64, 8 * i);
      case I64, I32, I8, U8 -> throw new AssertionError("refused by the constructor");
    };
  }

  private void put(MemorySegment target, long i, double value) {
    double written =
        switch (to) {
          case F64 -> {
            target.set(F64, 8 * i, value);
            yield value;
          }
          case F32 -> {
            target.set(F32, 4 * i, (float) value);
            yield (float) value;
          }
          case BF16 -> {
            short bits = BFloat16.fromFloat((float) value);
            target.set(I16, 2 * i, bits);
            yield BFloat16.toFloat(bits);
          }
          case F16 -> {
            short bits = Float.floatToFloat16((float) value);
            target.set(I16, 2 * i, bits);
            yield Float.float16ToFloat(bits);
          }
          case I64, I32, I8, U8 -> throw new AssertionError("refused by the constructor");
        };
    if (Double.isInfinite(written) && Double.isFinite(value)) {
      throw new InvalidInputException(
          "tensor %s holds %s, which is too large for %s"
              .formatted(OneLine.quote(name), value, to));
    }
  }
}
