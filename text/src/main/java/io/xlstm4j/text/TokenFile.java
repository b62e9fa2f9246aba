package io.xlstm4j.text;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/// One part of a corpus as token ids, in a memory-mapped file.
///
/// Each document is the end-of-text id followed by its tokens, and one more end-of-text id ends the
/// file: `E a a a E b b E`. So every token, the first of a document too, is predicted from
/// something.
///
/// Layout, little-endian: a header of 128 bytes (8 magic, u32 version, u32 bytes per id, u64
/// tokens, u64 documents, u64 bytes of text, u32 end-of-text id, u32 vocabulary size, 32
/// fingerprint, u32 CRC-32C of the ids, zeros, u32 CRC-32C of the header before it), then the ids,
/// two bytes each if the vocabulary allows, else four. Safe to read by several threads until it is
/// closed.
public final class TokenFile implements AutoCloseable {
  private static final byte[] MAGIC = "XLSTMTOK".getBytes(StandardCharsets.US_ASCII);
  private static final int VERSION = 1;
  private static final int HEADER = 128;
  private static final int HEADER_CHECK_AT = HEADER - Integer.BYTES;
  private static final int LARGEST_NARROW_VOCAB = 1 << Short.SIZE;

  private static final int BATCH_DOCUMENTS = 4096; // encoded at once
  private static final int BATCH_CHARS = 1 << 20;

  private static final ValueLayout.OfShort NARROW =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt WIDE =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Arena arena;
  private final MemorySegment ids;
  private final Header header;

  private TokenFile(Arena arena, MemorySegment ids, Header header) {
    this.arena = arena;
    this.ids = ids;
    this.header = header;
  }

  private record Header(
      int width,
      long tokens,
      long documents,
      long textBytes,
      int endOfText,
      int vocabSize,
      String fingerprint,
      int check) {

    static int widthFor(int vocabSize) {
      return vocabSize <= LARGEST_NARROW_VOCAB ? Short.BYTES : Integer.BYTES;
    }

    ByteBuffer toBytes() {
      ByteBuffer bytes = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
      bytes.put(MAGIC).putInt(VERSION).putInt(width);
      bytes.putLong(tokens).putLong(documents).putLong(textBytes);
      bytes.putInt(endOfText).putInt(vocabSize);
      bytes.put(HexFormat.of().parseHex(fingerprint)).putInt(check);
      bytes.putInt(HEADER_CHECK_AT, checkOf(bytes));
      return bytes.clear();
    }

    /// @throws InvalidTextException if the bytes are not a header of ours
    static Header of(Path path, ByteBuffer bytes) {
      bytes.order(ByteOrder.LITTLE_ENDIAN);
      byte[] magic = new byte[MAGIC.length];
      if (bytes.remaining() >= MAGIC.length) {
        bytes.get(magic);
      }
      if (!Arrays.equals(magic, MAGIC)) {
        throw new ForeignFile(path + ": not a token file; give another path or remove the file");
      }
      if (bytes.limit() < HEADER) {
        throw damaged(path, "it ends within its header");
      }
      int version = bytes.getInt();
      if (version != VERSION) {
        throw damaged(path, "it has version " + version + " of the format, not " + VERSION);
      }
      if (bytes.getInt(HEADER_CHECK_AT) != checkOf(bytes)) {
        throw damaged(path, "the checksum of its header is wrong");
      }
      int width = bytes.getInt();
      long tokens = bytes.getLong();
      long documents = bytes.getLong();
      long textBytes = bytes.getLong();
      int endOfText = bytes.getInt();
      int vocabSize = bytes.getInt();
      byte[] fingerprint = new byte[Fingerprint.BYTES];
      bytes.get(fingerprint);
      var header =
          new Header(
              width,
              tokens,
              documents,
              textBytes,
              endOfText,
              vocabSize,
              HexFormat.of().formatHex(fingerprint),
              bytes.getInt());
      if (width != widthFor(vocabSize)
          || tokens < 2
          || tokens > (Long.MAX_VALUE - HEADER) / width
          || documents < 1
          || documents >= tokens
          || endOfText < 0
          || endOfText >= vocabSize) {
        throw damaged(path, "its header contradicts itself");
      }
      return header;
    }

    private static int checkOf(ByteBuffer header) {
      var crc = new CRC32C();
      crc.update(header.duplicate().clear().limit(HEADER_CHECK_AT));
      return (int) crc.getValue();
    }
  }

  /// Not ours at all, so that it must not be overwritten.
  private static final class ForeignFile extends RuntimeException {
    ForeignFile(String message) {
      super(message);
    }
  }

  /// Maps a token file and checks all of it: header, length, checksums.
  ///
  /// @throws InvalidTextException if it is missing, damaged, or something else
  public static TokenFile open(Path path) {
    try {
      return openOurs(path);
    } catch (ForeignFile e) {
      throw new InvalidTextException(String.valueOf(e.getMessage()), e);
    }
  }

  /// Opens the token file if it was made from this corpus with this tokenizer, else makes it.
  ///
  /// A damaged token file is made again; a file that is something else is left alone.
  ///
  /// @throws InvalidTextException if the corpus is invalid, or if `path` is some other file
  /// @throws java.io.UncheckedIOException if the file cannot be written
  public static TokenFile openOrBuild(Corpus corpus, Split split, Tokenizer tokenizer, Path path) {
    String fingerprint = fingerprint(corpus, split, tokenizer);
    if (Files.exists(path)) {
      try {
        TokenFile file = openOurs(path);
        if (file.fingerprint().equals(fingerprint)) {
          return file;
        }
        file.close();
      } catch (ForeignFile e) {
        throw new InvalidTextException(String.valueOf(e.getMessage()), e);
      } catch (InvalidTextException e) {
        if (!Files.isRegularFile(path)) {
          throw e;
        }
        // damaged: a cache can be made again
      }
    }
    build(corpus, split, tokenizer, path);
    return open(path);
  }

  /// Encodes one part of a corpus into a file, whole or not at all. Memory does not grow with the
  /// corpus.
  ///
  /// @throws InvalidTextException if the corpus is invalid or has no document in this part
  /// @throws java.io.UncheckedIOException if the file cannot be written
  public static void build(Corpus corpus, Split split, Tokenizer tokenizer, Path path) {
    String fingerprint = fingerprint(corpus, split, tokenizer);
    AtomicFile.write(
        path,
        file -> {
          var writer = new Writer(file, tokenizer);
          try (Stream<String> documents = corpus.documents(split)) {
            writer.writeAll(documents.iterator());
          }
          if (writer.documents == 0) {
            throw new InvalidTextException(
                corpus.name()
                    + ": there is no document for "
                    + split.name().toLowerCase(Locale.ROOT));
          }
          writer.finish(fingerprint);
        });
  }

  private static String fingerprint(Corpus corpus, Split split, Tokenizer tokenizer) {
    return Fingerprint.of(corpus.fingerprint(), split.name(), tokenizer.fingerprint());
  }

  /// The number of tokens, the end-of-text ids included.
  public long size() {
    return header.tokens;
  }

  /// The token at a place.
  ///
  /// @throws IndexOutOfBoundsException if the place is not in [0, size)
  public int get(long index) {
    Objects.checkIndex(index, header.tokens);
    return header.width == Short.BYTES
        ? Short.toUnsignedInt(ids.getAtIndex(NARROW, index))
        : ids.getAtIndex(WIDE, index);
  }

  /// The number of documents.
  public long documents() {
    return header.documents;
  }

  /// The length of all documents in UTF-8 bytes, for bits per byte; end-of-text ids count nothing.
  public long textBytes() {
    return header.textBytes;
  }

  /// The id between documents.
  public int endOfText() {
    return header.endOfText;
  }

  /// The vocabulary size of the tokenizer; every id is below it.
  public int vocabSize() {
    return header.vocabSize;
  }

  /// Says from which corpus, part and tokenizer the file was made: 64 hexadecimal digits.
  public String fingerprint() {
    return header.fingerprint;
  }

  /// Unmaps the file; reading afterwards throws IllegalStateException.
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  @SuppressWarnings("MustBeClosed") // the token file owns the arena
  private static TokenFile openOurs(Path path) {
    try (var file = FileChannel.open(path)) {
      ByteBuffer bytes = ByteBuffer.allocate(HEADER);
      while (bytes.hasRemaining() && file.read(bytes) >= 0) {
        // read on
      }
      Header header = Header.of(path, bytes.flip());
      long expected = HEADER + header.tokens * header.width;
      if (file.size() != expected) {
        throw damaged(path, "it has " + file.size() + " bytes instead of " + expected);
      }
      Arena arena = Arena.ofShared(); // readers may be on other threads
      try {
        MemorySegment ids =
            file.map(FileChannel.MapMode.READ_ONLY, HEADER, expected - HEADER, arena);
        if (checkOf(ids) != header.check) {
          throw damaged(path, "the checksum of its ids is wrong");
        }
        return new TokenFile(arena, ids, header);
      } catch (RuntimeException | IOException e) {
        arena.close();
        throw e;
      }
    } catch (IOException e) {
      throw new InvalidTextException(path + ": cannot read the token file: " + Reason.of(e), e);
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

  private static InvalidTextException damaged(Path path, String what) {
    return new InvalidTextException(
        path + ": the token file is damaged: " + what + "; remove it and it will be made again");
  }

  /// Writes the ids behind room for the header, and the header last.
  private static final class Writer {
    private final FileChannel file;
    private final Tokenizer tokenizer;
    private final int width;
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 18).order(ByteOrder.LITTLE_ENDIAN);
    private final CRC32C check = new CRC32C();
    private long tokens;
    private long documents;
    private long textBytes;

    Writer(FileChannel file, Tokenizer tokenizer) throws IOException {
      this.file = file;
      this.tokenizer = tokenizer;
      this.width = Header.widthFor(tokenizer.vocabSize());
      file.position(HEADER);
    }

    void writeAll(Iterator<String> texts) throws IOException {
      List<String> batch = new ArrayList<>();
      long chars = 0;
      while (texts.hasNext()) {
        String text = texts.next();
        batch.add(text);
        chars += text.length();
        if (batch.size() == BATCH_DOCUMENTS || chars >= BATCH_CHARS || !texts.hasNext()) {
          writeBatch(batch);
          batch.clear();
          chars = 0;
        }
      }
    }

    private void writeBatch(List<String> texts) throws IOException {
      for (int[] ids : tokenizer.encodeAll(texts)) {
        write(tokenizer.endOfText());
        for (int id : ids) {
          if (id == tokenizer.endOfText() || id < 0 || id >= tokenizer.vocabSize()) {
            throw new InvalidTextException(
                tokenizer.name()
                    + ": the tokenizer gave id "
                    + id
                    + " for text; not a token of text");
          }
          write(id);
        }
      }
      for (String text : texts) {
        textBytes += utf8Length(text);
      }
      documents += texts.size();
    }

    void finish(String fingerprint) throws IOException {
      write(tokenizer.endOfText());
      flush();
      ByteBuffer header =
          new Header(
                  width,
                  tokens,
                  documents,
                  textBytes,
                  tokenizer.endOfText(),
                  tokenizer.vocabSize(),
                  fingerprint,
                  (int) check.getValue())
              .toBytes();
      file.position(0);
      while (header.hasRemaining()) {
        file.write(header);
      }
    }

    private void write(int id) throws IOException {
      if (buffer.remaining() < width) {
        flush();
      }
      if (width == Short.BYTES) {
        buffer.putShort((short) id);
      } else {
        buffer.putInt(id);
      }
      tokens++;
    }

    private void flush() throws IOException {
      buffer.flip();
      check.update(buffer.duplicate());
      while (buffer.hasRemaining()) {
        file.write(buffer);
      }
      buffer.clear();
    }

    private static long utf8Length(String text) {
      long bytes = 0;
      for (int i = 0; i < text.length(); i++) {
        char c = text.charAt(i);
        bytes += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3;
      }
      return bytes;
    }
  }
}
