package io.xlstm4j.train.series;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.Charset;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/// The text of a file: UTF-8, or UTF-16 with a byte-order mark. Refuses other bytes, NUL characters
/// and endless lines instead of replacing or collecting them.
final class SourceText extends Reader {
  /// Upper bound of the characters of a line.
  static final int LONGEST_LINE = 1 << 20;

  private static final int BUFFER = 1 << 16;

  private final Path file;
  private final InputStream in;
  private final CharsetDecoder decoder;
  private final ByteBuffer bytes = ByteBuffer.allocate(BUFFER).flip();
  private long offset; // in the file, of the first byte of the buffer
  private boolean ended;
  private long line = 1;
  private int column;
  private boolean afterReturn;
  private final char[] pair = new char[2];
  private boolean lowPending; // the second of the pair

  private SourceText(Path file, InputStream in, Charset charset, int markLength) {
    this.file = file;
    this.in = in;
    offset = markLength;
    decoder =
        charset
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
  }

  /// Opens a file and reads past its byte-order mark.
  ///
  /// @throws InvalidInputException if it is no text file by its first bytes
  static SourceText open(Path file) throws IOException {
    var in = new BufferedInputStream(Files.newInputStream(file), BUFFER);
    try {
      in.mark(4);
      byte[] start = in.readNBytes(4);
      in.reset();
      if (startsWith(start, 'P', 'K', 3, 4) || startsWith(start, 0xD0, 0xCF, 0x11, 0xE0)) {
        throw new InvalidInputException(
            OneLine.of(file) + ": a spreadsheet's own format or an archive; export it as CSV");
      }
      if (startsWith(start, 0x1F, 0x8B)) {
        throw new InvalidInputException(OneLine.of(file) + ": compressed; unpack it first");
      }
      Charset charset = StandardCharsets.UTF_8;
      int mark = 0;
      if (startsWith(start, 0xEF, 0xBB, 0xBF)) {
        mark = 3;
      } else if (startsWith(start, 0xFF, 0xFE)) {
        charset = StandardCharsets.UTF_16LE;
        mark = 2;
      } else if (startsWith(start, 0xFE, 0xFF)) {
        charset = StandardCharsets.UTF_16BE;
        mark = 2;
      }
      in.skipNBytes(mark);
      return new SourceText(file, in, charset, mark);
    } catch (IOException | RuntimeException e) {
      in.close();
      throw e;
    }
  }

  private static boolean startsWith(byte[] start, int... wanted) {
    for (int i = 0; i < wanted.length; i++) {
      if (i >= start.length || (start[i] & 0xFF) != wanted[i]) {
        return false;
      }
    }
    return true;
  }

  @Override
  public int read(char[] into, int from, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    if (lowPending) {
      into[from] = pair[1];
      lowPending = false;
      return 1;
    }
    while (true) {
      CharBuffer out = CharBuffer.wrap(into, from, length);
      CoderResult result = bytesDecoded(out);
      int count = out.position() - from;
      if (count > 0) {
        check(into, from, count);
        return count;
      }
      if (result.isError()) {
        throw wrongBytes();
      }
      if (result.isOverflow()) { // no room for both units of a character
        bytesDecoded(CharBuffer.wrap(pair));
        into[from] = pair[0];
        lowPending = true;
        return 1;
      }
      if (ended) {
        return -1;
      }
      fill();
    }
  }

  private CoderResult bytesDecoded(CharBuffer out) {
    int before = bytes.position();
    CoderResult result = decoder.decode(bytes, out, ended);
    offset += bytes.position() - before;
    return result;
  }

  private void fill() throws IOException {
    bytes.compact();
    int read = in.read(bytes.array(), bytes.position(), bytes.remaining());
    if (read < 0) {
      ended = true;
    } else {
      bytes.position(bytes.position() + read);
    }
    bytes.flip();
  }

  private void check(char[] text, int from, int count) {
    for (int i = from; i < from + count; i++) {
      char c = text[i];
      if (c == '\n' || c == '\r') {
        if (c == '\r' || !afterReturn) {
          line++;
        }
        column = 0;
      } else if (c == 0) {
        throw new InvalidInputException(
            "%s: line %d has a NUL character: no text, UTF-16 without a byte-order mark, or torn while it was written; save it as UTF-8"
                .formatted(OneLine.of(file), line));
      } else if (++column > LONGEST_LINE) {
        throw new InvalidInputException(
            String.format(
                Locale.ROOT,
                "%s: line %d is longer than %,d characters; is this a CSV file?",
                OneLine.of(file),
                line,
                LONGEST_LINE));
      }
      afterReturn = c == '\r';
    }
  }

  private InvalidInputException wrongBytes() {
    String found =
        bytes.hasRemaining() ? "0x%02X".formatted(bytes.get(bytes.position()) & 0xFF) : "the end";
    return new InvalidInputException(
        "%s: line %d: byte %d (%s) is not %s; the file may be Windows-1252 or Latin-1: save it as UTF-8, for example with iconv -f WINDOWS-1252 -t UTF-8"
            .formatted(OneLine.of(file), line, offset, found, decoder.charset().name()));
  }

  @Override
  public void close() throws IOException {
    in.close();
  }
}
