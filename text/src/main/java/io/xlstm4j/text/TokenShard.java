package io.xlstm4j.text;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.Objects;
import java.util.zip.CRC32C;

/// One memory-mapped file of ids: a whole part of a corpus, or one of its shards.
final class TokenShard implements AutoCloseable {
  private static final ValueLayout.OfShort NARROW =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt WIDE =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Arena arena;
  private final MemorySegment ids;
  private final TokenHeader header;

  private TokenShard(Arena arena, MemorySegment ids, TokenHeader header) {
    this.arena = arena;
    this.ids = ids;
    this.header = header;
  }

  /// Maps the file and checks all of it: header, size, checksums.
  @SuppressWarnings("MustBeClosed") // the shard owns the arena
  static TokenShard open(Path path) throws IOException, TokenHeader.NotOurs, TokenHeader.Damaged {
    try (var file = FileChannel.open(path)) {
      ByteBuffer bytes = ByteBuffer.allocate(TokenHeader.BYTES);
      while (bytes.hasRemaining() && file.read(bytes) >= 0) {
        // read on
      }
      TokenHeader header = TokenHeader.of(bytes.flip());
      if (file.size() != header.fileSize()) {
        throw new TokenHeader.Damaged(
            "it has " + file.size() + " bytes instead of " + header.fileSize());
      }
      Arena arena = Arena.ofShared(); // readers may be on other threads
      boolean usable = false;
      try {
        MemorySegment ids =
            file.map(
                FileChannel.MapMode.READ_ONLY,
                TokenHeader.BYTES,
                header.fileSize() - TokenHeader.BYTES,
                arena);
        if (checkOf(ids) != header.check()) {
          throw new TokenHeader.Damaged("the checksum of its ids is wrong");
        }
        usable = true;
        return new TokenShard(arena, ids, header);
      } finally {
        if (!usable) {
          arena.close();
        }
      }
    }
  }

  TokenHeader header() {
    return header;
  }

  int get(long index) {
    Objects.checkIndex(index, header.tokens());
    return header.width() == Short.BYTES
        ? Short.toUnsignedInt(ids.getAtIndex(NARROW, index))
        : ids.getAtIndex(WIDE, index);
  }

  void read(long from, int[] into, int offset, int count) {
    Objects.checkFromIndexSize(from, count, header.tokens());
    Objects.checkFromIndexSize(offset, count, into.length);
    if (header.width() == Short.BYTES) {
      for (int i = 0; i < count; i++) {
        into[offset + i] = Short.toUnsignedInt(ids.getAtIndex(NARROW, from + i));
      }
    } else {
      MemorySegment.copy(ids, WIDE, from * Integer.BYTES, into, offset, count);
    }
  }

  /// Unmaps the file.
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  private static int checkOf(MemorySegment ids) {
    var crc = new CRC32C();
    long step = 1L << 30; // a buffer's limit is an int
    for (long at = 0; at < ids.byteSize(); at += step) {
      crc.update(ids.asSlice(at, Math.min(step, ids.byteSize() - at)).asByteBuffer());
    }
    return (int) crc.getValue();
  }
}
