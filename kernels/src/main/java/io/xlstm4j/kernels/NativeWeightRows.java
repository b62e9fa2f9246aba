package io.xlstm4j.kernels;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;
import org.jspecify.annotations.Nullable;

/// [VectorWeightRowsKernel], its slow twin, from native memory to native memory, with the same
/// bits. As in [NativeRowsProduct], nothing is checked here.
final class NativeWeightRows {
  private static final VectorSpecies<Float> LANES = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Short> SHORTS = StoredProductKernel.SHORTS;
  private static final VectorSpecies<Byte> BYTES = StoredProductKernel.BYTES;
  private static final int WIDTH = LANES.length();
  private static final MemorySegment MEMORY = NativeFloats.MEMORY;
  private static final ByteOrder ORDER = ByteOrder.LITTLE_ENDIAN;
  private static final ValueLayout.OfFloat SCALE =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private NativeWeightRows() {}

  /// Rows `[first, first + count)` in float32.
  ///
  /// @param w which [NativeStoredProduct#takes]
  /// @param to address of `(count, columns)`, written
  static void widen(WeightMatrix w, int first, int count, long to) {
    int columns = w.columns();
    long from = w.data().address() + (long) first * columns * w.type().bytes();
    @Nullable MemorySegment scales = w.scales();
    if (scales == null) {
      bfloat16(from, count * columns, to);
      return;
    }
    int shift = StoredProductKernel.shift(w);
    long scaleRow = (long) w.groups() * Float.BYTES;
    long scale = scales.address() + first * scaleRow;
    for (int row = 0; row < count; row++) {
      long at = (long) row * columns;
      int8(from + at, columns, scale + row * scaleRow, shift, to + at * Float.BYTES);
    }
  }

  private static void bfloat16(long from, int count, long to) {
    long w = from & NativeRowsProduct.ADDRESSES;
    long y = to & NativeRowsProduct.ADDRESSES;
    for (int i = 0; i < count; i += WIDTH) {
      ((IntVector)
              ShortVector.fromMemorySegment(SHORTS, MEMORY, w + (long) i * Short.BYTES, ORDER)
                  .convertShape(VectorOperators.ZERO_EXTEND_S2I, INTS, 0))
          .lanewise(VectorOperators.LSHL, 16)
          .reinterpretAsFloats()
          .intoMemorySegment(MEMORY, y + (long) i * Float.BYTES, ORDER);
    }
  }

  /// One row.
  ///
  /// @param scales address of its scales
  /// @param shift element i has scale number `i >> shift`
  private static void int8(long from, int columns, long scales, int shift, long to) {
    long w = from & NativeRowsProduct.ADDRESSES;
    long c = scales & NativeRowsProduct.ADDRESSES;
    long y = to & NativeRowsProduct.ADDRESSES;
    for (int i = 0; i < columns; i += WIDTH) {
      ((FloatVector)
              ByteVector.fromMemorySegment(BYTES, MEMORY, w + i, ORDER)
                  .convertShape(VectorOperators.B2F, LANES, 0))
          .mul(MEMORY.get(SCALE, c + (long) (i >> shift) * Float.BYTES))
          .intoMemorySegment(MEMORY, y + (long) i * Float.BYTES, ORDER);
    }
  }
}
