package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.cell.KernelArguments;
import io.xlstm4j.cuda.driver.DeviceSpan;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// The structure `Work` of `mlstm/common.cuh`, which all kernels of a call read.
final class MlstmWork {
  /// Its addresses, in the structure's order.
  enum Field {
    Q,
    K,
    V,
    IGATE,
    FGATE,
    C0,
    N0,
    M0,
    VALID,
    STARTS,
    H,
    C_LAST,
    N_LAST,
    M_LAST,
    DH,
    DC_LAST,
    DN_LAST,
    DQ,
    DK,
    DV,
    DIGATE,
    DFGATE,
    DC0,
    DN0,
    Q_PLANES,
    K_PLANES,
    V_PLANES,
    DH_PLANES,
    WEIGHTED,
    X,
    Y,
    W,
    U,
    FLOOR,
    FROM,
    R,
    SIGN,
    DECAY,
    M_STATES,
    STEPS,
    TAILS,
    SUMS,
    N_STATES,
    STATES,
    SCORES,
    SLOPES,
    DELTA,
    QUERY_WEIGHTS,
    QDQ,
    KDK,
    END_C,
    END_N,
    END_DOT,
    SEGMENT_C
  }

  private final Map<Field, DeviceSpan> spans = new EnumMap<>(Field.class);

  /// Sets an address; null stands for none.
  void set(Field field, @Nullable DeviceSpan span) {
    if (span != null) {
      spans.put(field, span);
    }
  }

  @Nullable DeviceSpan get(Field field) {
    return spans.get(field);
  }

  void clear(Field field) {
    spans.remove(field);
  }

  void setAll(Map<Field, DeviceSpan> more) {
    spans.putAll(more);
  }

  MemorySegment structure(Arena arena, MlstmShape shape, MlstmChunks chunks) {
    Field[] fields = Field.values();
    var arguments = new KernelArguments(arena, fields.length, 8);
    for (Field field : fields) {
      arguments.add(spans.get(field));
    }
    return arguments
        .add(shape.batch(), shape.length(), shape.heads(), shape.qkDim(), shape.vDim())
        .add(chunks.length(), chunks.number(), chunks.ofSegment())
        .done();
  }
}
