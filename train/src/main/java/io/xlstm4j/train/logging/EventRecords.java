package io.xlstm4j.train.logging;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/// The records of an event file: length (uint64, little-endian), the masked CRC-32C of these eight
/// bytes, the event, and the masked CRC-32C of the event.
///
/// An event of ours begins with its time (field 1, double) and its step (field 2, varint).
final class EventRecords {
  private static final int HEADER = Long.BYTES + Integer.BYTES;
  private static final int BUFFER = 1 << 16;
  private static final byte TIME_KEY = 1 << 3 | 1;
  private static final byte STEP_KEY = 2 << 3;

  private EventRecords() {}

  /// The record of an event.
  static byte[] frame(byte[] event) {
    ByteBuffer record =
        ByteBuffer.allocate(HEADER + event.length + Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(event.length);
    record.putInt(maskedCrc(record.array(), 0, Long.BYTES)).put(event);
    record.putInt(maskedCrc(record.array(), HEADER, event.length));
    return record.array();
  }

  /// CRC-32C, rotated right by 15 bits, plus a constant: so that data which holds checksums can be
  /// checked too (tensorflow/core/lib/hash/crc32c.h).
  private static int maskedCrc(byte[] bytes, int offset, int length) {
    var crc = new CRC32C();
    crc.update(bytes, offset, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + 0xA282EAD8;
  }

  /// Cuts a file in front of its first event past `lastStep`, or of a torn record at its end.
  ///
  /// @throws IOException if the system refuses
  static void cutAfter(Path file, long lastStep) throws IOException {
    long kept = kept(file, lastStep);
    if (kept < Files.size(file)) {
      try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(kept);
      }
    }
  }

  private static long kept(Path file, long lastStep) throws IOException {
    long size = Files.size(file);
    long at = 0;
    try (var in =
        new DataInputStream(new BufferedInputStream(Files.newInputStream(file), BUFFER))) {
      while (size - at >= HEADER) {
        byte[] header = in.readNBytes(HEADER);
        ByteBuffer fields = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
        long length = fields.getLong();
        boolean sound = fields.getInt() == maskedCrc(header, 0, Long.BYTES);
        if (!sound || length < 0 || size - at - HEADER - Integer.BYTES < length) {
          return at;
        }
        byte[] event = in.readNBytes(Math.toIntExact(length));
        in.skipNBytes(Integer.BYTES);
        if (step(event) > lastStep) {
          return at;
        }
        at += HEADER + length + Integer.BYTES;
      }
    }
    return at;
  }

  /// The step of an event; 0 if it has none where ours have it.
  private static long step(byte[] event) {
    int at = 1 + Double.BYTES;
    if (event.length <= at || event[0] != TIME_KEY || event[at] != STEP_KEY) {
      return 0;
    }
    long step = 0;
    for (int shift = 0; ++at < event.length && shift < Long.SIZE; shift += 7) {
      step |= (event[at] & 0x7FL) << shift;
      if (event[at] >= 0) {
        break;
      }
    }
    return step;
  }
}
