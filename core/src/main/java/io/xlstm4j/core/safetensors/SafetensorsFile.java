package io.xlstm4j.core.safetensors;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// One safetensors file, mapped into memory.
///
/// On disk: the length of the header (8 bytes, little-endian), the header (JSON), then the data.
/// The file is not trusted: every number in the header is checked against the size of the file
/// before anything is allocated by it.
public final class SafetensorsFile implements TensorSource {
  /// The longest header that the reference implementation reads.
  static final long MAX_HEADER_BYTES = 100_000_000;

  private final Path path;
  private final Header header;
  private final Arena arena;
  private final MemorySegment data; // the data section, without length and header

  private SafetensorsFile(Path path, Header header, Arena arena, MemorySegment data) {
    this.path = path;
    this.header = header;
    this.arena = arena;
    this.data = data;
  }

  /// Checks and maps `path`.
  ///
  /// @throws InvalidInputException if the file cannot be read or breaks a rule of the format
  public static SafetensorsFile open(Path path) {
    if (!Files.isRegularFile(path)) { // a pipe would block, a folder would open
      throw new InvalidInputException(
          OneLine.of(path) + ": " + (Files.exists(path) ? "not a regular file" : "no such file"));
    }
    try (var channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      byte[] json = readHeader(OneLine.of(path), channel, size);
      long start = (long) Long.BYTES + json.length;
      Header header = Header.parse(OneLine.of(path), json, size - start);
      return map(path, header, channel, start, size - start);
    } catch (IOException e) {
      throw new InvalidInputException(
          OneLine.of(path) + ": cannot be read: " + OneLine.reason(e), e);
    }
  }

  /// Reads rather than maps, so that a file cut short meanwhile is an error and not a fault.
  private static byte[] readHeader(String where, FileChannel channel, long size)
      throws IOException {
    if (size < Long.BYTES) {
      throw new InvalidInputException(
          where + ": " + size + " bytes long, but the length of the header alone takes 8");
    }
    long length = readFully(where, channel, 0, Long.BYTES).getLong();
    if (length <= 0 || length > MAX_HEADER_BYTES) { // negative: 2^63 or more
      throw new InvalidInputException(
          "%s: header length (%s) must be from 1 to %d; not a safetensors file?"
              .formatted(where, Long.toUnsignedString(length), MAX_HEADER_BYTES));
    }
    if (length > size - Long.BYTES) {
      throw new InvalidInputException(
          "%s: header length (%d) exceeds the rest of the file (%d bytes)"
              .formatted(where, length, size - Long.BYTES));
    }
    return readFully(where, channel, Long.BYTES, (int) length).array();
  }

  private static ByteBuffer readFully(String where, FileChannel channel, long from, int count)
      throws IOException {
    var buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, from + buffer.position()) < 0) {
        throw new InvalidInputException(where + ": was cut short while it was read");
      }
    }
    return buffer.flip();
  }

  @SuppressWarnings(
      "MustBeClosedChecker") // the arena goes to the new object, whose close() ends it
  private static SafetensorsFile map(
      Path path, Header header, FileChannel channel, long start, long length) throws IOException {
    var arena = Arena.ofShared();
    try {
      MemorySegment data = channel.map(MapMode.READ_ONLY, start, length, arena);
      return new SafetensorsFile(path, header, arena, data);
    } catch (IOException | RuntimeException e) {
      arena.close();
      throw e;
    }
  }

  /// The file that was opened.
  public Path path() {
    return path;
  }

  @Override
  public Map<String, TensorInfo> tensors() {
    return header.tensors();
  }

  @Override
  public Map<String, String> metadata() {
    return header.metadata();
  }

  @Override
  public TensorInfo info(String name) {
    @Nullable TensorInfo info = header.tensors().get(name);
    if (info == null) {
      throw new InvalidInputException(OneLine.of(path) + ": has no tensor " + OneLine.quote(name));
    }
    return info;
  }

  @Override
  public MemorySegment data(String name) {
    TensorInfo info = info(name);
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException(OneLine.of(path) + " is closed");
    }
    return data.asSlice(info.begin(), info.byteSize()).asReadOnly();
  }

  @Override
  public float[] floats(String name) {
    return Elements.floats(OneLine.of(path), info(name), data(name));
  }

  @Override
  public double[] doubles(String name) {
    return Elements.doubles(OneLine.of(path), info(name), data(name));
  }

  @Override
  public long[] longs(String name) {
    return Elements.longs(OneLine.of(path), info(name), data(name));
  }

  @Override
  public synchronized void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
