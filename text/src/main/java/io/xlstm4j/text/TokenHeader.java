package io.xlstm4j.text;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.zip.CRC32C;

/// The header of a token file, 128 bytes, little-endian: 8 magic, u32 version, u32 bytes per id,
/// u64 tokens, u64 documents, u64 bytes of text, u32 end-of-text id, u32 vocabulary size, 32
/// fingerprint, u32 CRC-32C of the ids, 32 fingerprint of the tokenizer, u32 number of the shard,
/// u32 whether it is the last, u32 CRC-32C of the header before it.
///
/// @param width bytes of an id: two if the vocabulary allows, else four
/// @param tokens ids in this file
/// @param documents that begin, and end, in this file
/// @param textBytes of those documents
/// @param fingerprint of corpus, part and tokenizer; all shards have the same
/// @param check CRC-32C of the ids
/// @param shard number of this file among those of its part, from 0
/// @param last whether no shard follows; then the ids end with an end-of-text id
record TokenHeader(
    int width,
    long tokens,
    long documents,
    long textBytes,
    int endOfText,
    int vocabSize,
    String fingerprint,
    int check,
    String tokenizerFingerprint,
    int shard,
    boolean last) {
  static final int BYTES = 128;

  private static final byte[] MAGIC = "XLSTMTOK".getBytes(StandardCharsets.US_ASCII);
  private static final int VERSION = 2;
  private static final int CHECK_AT = BYTES - Integer.BYTES;
  private static final int LARGEST_NARROW_VOCAB = 1 << Short.SIZE;

  /// The bytes are no token file.
  static final class NotOurs extends Exception {}

  /// The bytes are a token file, but not a whole one.
  static final class Damaged extends Exception {
    private final String what;

    Damaged(String what) {
      super(what);
      this.what = what;
    }

    /// Returns what is wrong, as a clause.
    String what() {
      return what;
    }
  }

  static int widthFor(int vocabSize) {
    return vocabSize <= LARGEST_NARROW_VOCAB ? Short.BYTES : Integer.BYTES;
  }

  ByteBuffer toBytes() {
    ByteBuffer bytes = ByteBuffer.allocate(BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(MAGIC).putInt(VERSION).putInt(width);
    bytes.putLong(tokens).putLong(documents).putLong(textBytes);
    bytes.putInt(endOfText).putInt(vocabSize);
    bytes.put(HexFormat.of().parseHex(fingerprint)).putInt(check);
    bytes.put(HexFormat.of().parseHex(tokenizerFingerprint));
    bytes.putInt(shard).putInt(last ? 1 : 0);
    bytes.putInt(CHECK_AT, checkOf(bytes));
    return bytes.clear();
  }

  /// @param bytes the first of a file, 128 if it has so many
  static TokenHeader of(ByteBuffer bytes) throws NotOurs, Damaged {
    bytes.order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[MAGIC.length];
    if (bytes.remaining() >= MAGIC.length) {
      bytes.get(magic);
    }
    if (!Arrays.equals(magic, MAGIC)) {
      throw new NotOurs();
    }
    if (bytes.limit() < BYTES) {
      throw new Damaged("it ends within its header");
    }
    int version = bytes.getInt();
    if (version != VERSION) {
      throw new Damaged("it has version " + version + " of the format, not " + VERSION);
    }
    if (bytes.getInt(CHECK_AT) != checkOf(bytes)) {
      throw new Damaged("the checksum of its header is wrong");
    }
    var header =
        new TokenHeader(
            bytes.getInt(),
            bytes.getLong(),
            bytes.getLong(),
            bytes.getLong(),
            bytes.getInt(),
            bytes.getInt(),
            fingerprintIn(bytes),
            bytes.getInt(),
            fingerprintIn(bytes),
            bytes.getInt(),
            bytes.getInt() == 1);
    if (!header.isConsistent()) {
      throw new Damaged("its header contradicts itself");
    }
    return header;
  }

  private boolean isConsistent() {
    return width == widthFor(vocabSize)
        && documents >= 1
        && tokens >= documents + (last ? 1 : 0)
        && tokens <= (Long.MAX_VALUE - BYTES) / width
        && textBytes >= 0
        && endOfText >= 0
        && endOfText < vocabSize
        && shard >= 0;
  }

  /// The size of the whole file.
  long fileSize() {
    return BYTES + tokens * width;
  }

  private static String fingerprintIn(ByteBuffer bytes) {
    byte[] fingerprint = new byte[Fingerprint.BYTES];
    bytes.get(fingerprint);
    return HexFormat.of().formatHex(fingerprint);
  }

  private static int checkOf(ByteBuffer header) {
    var crc = new CRC32C();
    crc.update(header.duplicate().clear().limit(CHECK_AT));
    return (int) crc.getValue();
  }
}
