package io.xlstm4j.cuda.mlstm;

import io.xlstm4j.cuda.driver.DeviceSpan;
import io.xlstm4j.cuda.mlstm.MlstmWork.Field;
import java.util.EnumMap;
import java.util.Map;

/// Divides one piece of memory among fields.
final class MlstmRooms {
  private static final long ALIGNMENT = 256;

  private record Room(long offset, long bytes) {}

  private final Map<Field, Room> rooms = new EnumMap<>(Field.class);
  private long bytes;

  /// Adds `count` values of `size` bytes; nothing if there are none.
  MlstmRooms add(Field field, long count, int size) {
    if (count > 0) {
      rooms.put(field, new Room(bytes, count * size));
      bytes += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return this;
  }

  /// Of all of them, at least the alignment.
  long bytes() {
    return Math.max(bytes, ALIGNMENT);
  }

  Map<Field, DeviceSpan> within(DeviceSpan memory) {
    var spans = new EnumMap<Field, DeviceSpan>(Field.class);
    rooms.forEach((field, room) -> spans.put(field, memory.slice(room.offset, room.bytes)));
    return spans;
  }
}
