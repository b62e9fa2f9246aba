package io.xlstm4j.train.logging;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Reads event files for tests, and refuses whatever is not exactly as it should be.
///
/// The checksum is computed bit by bit from the polynomial, not by the class that wrote it.
final class EventFileReader {
  private static final int CASTAGNOLI = 0x82F63B78; // reflected

  private EventFileReader() {}

  /// A message: values by field number, in the order they came. A value is a Long (varint), a
  /// Double, a Float, or a ByteBuffer.
  record Message(Map<Integer, List<Object>> fields) {
    long integer(int field) {
      return (Long) only(field);
    }

    String text(int field) {
      return StandardCharsets.UTF_8.decode(((ByteBuffer) only(field)).duplicate()).toString();
    }

    Message message(int field) {
      return parse(((ByteBuffer) only(field)).duplicate());
    }

    List<Message> messages(int field) {
      return fields.getOrDefault(field, List.of()).stream()
          .map(bytes -> parse(((ByteBuffer) bytes).duplicate()))
          .toList();
    }

    double[] doubles(int field) {
      ByteBuffer bytes = ((ByteBuffer) only(field)).duplicate().order(ByteOrder.LITTLE_ENDIAN);
      var values = new double[bytes.remaining() / Double.BYTES];
      bytes.asDoubleBuffer().get(values);
      return values;
    }

    Object only(int field) {
      List<Object> values = fields.getOrDefault(field, List.of());
      assertThat(values).as("field %d", field).hasSize(1);
      return values.getFirst();
    }
  }

  /// Every event of a file.
  static List<Message> read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    var events = new ArrayList<Message>();
    while (bytes.hasRemaining()) {
      int start = bytes.position();
      int length = Math.toIntExact(bytes.getLong());
      assertThat(bytes.getInt()).isEqualTo(maskedCrc(bytes, start, Long.BYTES));
      ByteBuffer message = bytes.slice(bytes.position(), length);
      bytes.position(bytes.position() + length);
      assertThat(bytes.getInt()).isEqualTo(maskedCrc(message, 0, length));
      events.add(parse(message));
    }
    return events;
  }

  static int maskedCrc(ByteBuffer bytes, int start, int length) {
    int crc = -1;
    for (int i = start; i < start + length; i++) {
      crc ^= bytes.get(i) & 0xFF;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc >>> 1) ^ (CASTAGNOLI & -(crc & 1));
      }
    }
    crc = ~crc;
    return ((crc >>> 15) | (crc << 17)) + 0xA282EAD8;
  }

  private static Message parse(ByteBuffer bytes) {
    bytes.order(ByteOrder.LITTLE_ENDIAN);
    var fields = new LinkedHashMap<Integer, List<Object>>();
    while (bytes.hasRemaining()) {
      long key = varint(bytes);
      Object value =
          switch ((int) (key & 7)) {
            case 0 -> varint(bytes);
            case 1 -> bytes.getDouble();
            case 5 -> bytes.getFloat();
            case 2 -> {
              int length = Math.toIntExact(varint(bytes));
              ByteBuffer inner = bytes.slice(bytes.position(), length);
              bytes.position(bytes.position() + length);
              yield inner;
            }
            default -> throw new AssertionError("kind of field " + key);
          };
      fields.computeIfAbsent((int) (key >>> 3), _ -> new ArrayList<>()).add(value);
    }
    return new Message(fields);
  }

  private static long varint(ByteBuffer bytes) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte next = bytes.get();
      value |= (next & 0x7FL) << shift;
      if (next >= 0) {
        return value;
      }
    }
  }
}
