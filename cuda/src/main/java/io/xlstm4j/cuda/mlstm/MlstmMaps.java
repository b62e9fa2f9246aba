package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.driver.CudaContext;
import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.driver.TensorMap;
import io.xlstm4j.cuda.mlstm.MlstmWork.Field;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The structure `Maps` of `mlstm/hopper.cu`: how the operands of products lie in memory.
final class MlstmMaps {
  private static final int VALUE_BYTES = 2;
  private static final int ALIGNMENT = 64;

  /// In the structure's order.
  private static final List<Field> FIELDS =
      List.of(
          Field.Q_PLANES,
          Field.K_PLANES,
          Field.V_PLANES,
          Field.DH_PLANES,
          Field.STATES,
          Field.SCORES,
          Field.SLOPES);

  private MlstmMaps() {}

  /// Tensors that a call does not have stay empty.
  static MemorySegment structure(
      CudaContext context, Arena arena, MlstmShape shape, MlstmChunks chunks, MlstmWork work) {
    MemorySegment all = arena.allocate((long) FIELDS.size() * TensorMap.BYTES, ALIGNMENT);
    for (int i = 0; i < FIELDS.size(); i++) {
      Field field = FIELDS.get(i);
      @Nullable DeviceSpan data = work.get(field);
      if (data != null) {
        MemorySegment map = all.asSlice((long) i * TensorMap.BYTES, TensorMap.BYTES);
        long[] sizes = sizes(field, shape, chunks);
        TensorMap.write(context, map, data, sizes, strides(field, sizes));
      }
    }
    return all;
  }

  private static long[] sizes(Field field, MlstmShape shape, MlstmChunks chunks) {
    return switch (field) {
      case Q_PLANES, K_PLANES ->
          new long[] {padded(shape.qkDim()), shape.length(), shape.heads(), shape.batch()};
      case V_PLANES, DH_PLANES ->
          new long[] {padded(shape.vDim()), shape.length(), shape.heads(), shape.batch()};
      case STATES ->
          new long[] {padded(shape.vDim()), shape.qkDim(), chunks.number(), shape.pairs()};
      case SCORES, SLOPES ->
          new long[] {chunks.length(), chunks.length(), chunks.number(), shape.pairs()};
      default -> throw new IllegalArgumentException(field.name());
    };
  }

  /// Tokens lie in memory before heads, in the map after them.
  private static long[] strides(Field field, long[] sizes) {
    long row = sizes[0] * VALUE_BYTES;
    return field == Field.STATES || field == Field.SCORES || field == Field.SLOPES
        ? new long[] {row, row * sizes[1], row * sizes[1] * sizes[2]}
        : new long[] {row * sizes[2], row, row * sizes[1] * sizes[2]};
  }

  private static long padded(int width) {
    return Math.ceilDiv(width, 8) * 8L;
  }
}
