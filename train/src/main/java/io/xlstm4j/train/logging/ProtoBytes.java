package io.xlstm4j.train.logging;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Consumer;

/// Writes the few kinds of protocol buffer fields that event files need. A message is a sequence of
/// fields; each is a key, (number << 3 | kind), and its bytes; see
/// protobuf.dev/programming-guides/encoding.
final class ProtoBytes {
  private static final int VARINT = 0;
  private static final int FIXED64 = 1;
  private static final int BYTES = 2;
  private static final int FIXED32 = 5;

  private ByteBuffer bytes = ByteBuffer.allocate(256).order(ByteOrder.LITTLE_ENDIAN);

  /// An int64, bool or enum field.
  ProtoBytes integer(int field, long value) {
    key(field, VARINT);
    varint(value);
    return this;
  }

  /// A float field.
  ProtoBytes float32(int field, float value) {
    key(field, FIXED32);
    room(Float.BYTES).putFloat(value);
    return this;
  }

  /// A double field.
  ProtoBytes float64(int field, double value) {
    key(field, FIXED64);
    room(Double.BYTES).putDouble(value);
    return this;
  }

  /// A repeated, packed double field.
  ProtoBytes float64s(int field, double[] values) {
    key(field, BYTES);
    varint((long) Double.BYTES * values.length);
    room(Double.BYTES * values.length);
    for (double value : values) {
      bytes.putDouble(value);
    }
    return this;
  }

  /// A string or bytes field, in UTF-8.
  ProtoBytes text(int field, String value) {
    return raw(field, value.getBytes(StandardCharsets.UTF_8));
  }

  /// A message field.
  ProtoBytes message(int field, Consumer<ProtoBytes> body) {
    var inner = new ProtoBytes();
    body.accept(inner);
    return raw(field, inner.toByteArray());
  }

  private ProtoBytes raw(int field, byte[] value) {
    key(field, BYTES);
    varint(value.length);
    room(value.length).put(value);
    return this;
  }

  private void key(int field, int kind) {
    varint((long) field << 3 | kind);
  }

  /// Seven bits a byte, lowest first; the high bit says that more follow.
  private void varint(long value) {
    room(10);
    long rest = value;
    while ((rest & ~0x7FL) != 0) {
      bytes.put((byte) ((rest & 0x7F) | 0x80));
      rest >>>= 7;
    }
    bytes.put((byte) rest);
  }

  private ByteBuffer room(int more) {
    if (bytes.remaining() < more) {
      int size = Math.max(2 * bytes.capacity(), Math.addExact(bytes.position(), more));
      bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN).put(bytes.flip());
    }
    return bytes;
  }

  byte[] toByteArray() {
    return Arrays.copyOf(bytes.array(), bytes.position());
  }
}
