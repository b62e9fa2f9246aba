package io.xlstm4j.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/// Reads one text file document by document, holding little more than one of them.
///
/// The file must be UTF-8; a byte order mark is skipped. Empty documents are left out.
final class DocumentReader implements Iterator<String>, AutoCloseable {
  /// The ends of documents.
  enum Cut {
    /// At each separator; line ends beside a separator are not text, nor are those at the borders
    /// of a file that has one. A file without is one document, unchanged.
    SEPARATOR,
    /// After the first blank lines beyond 2,048 bytes. Nothing is left out.
    BLANK_LINES
  }

  static final String SEPARATOR = Tokenizer.END_OF_TEXT;

  /// A longer document is cut at a line end, or where there is none, between two characters.
  static final int MAX_BYTES = 1 << 20;

  private static final int BLANK_LINES_AFTER = 2048; // bytes
  private static final int CHUNK = 1 << 16;

  private final Path path;
  private final Cut cut;
  private final FileChannel file;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT);
  private final ByteBuffer bytes = ByteBuffer.allocate(CHUNK).flip();

  private char[] chars = new char[CHUNK];
  private int start; // of the text not yet given out
  private int end;
  private long bytesRead;
  private boolean exhausted; // all of the file is in chars
  private boolean atFileStart = true;

  private boolean atDocumentStart = true; // and not behind a cut through a long one
  private boolean sawSeparator;
  private @Nullable String next;
  private boolean nextContinues;
  private boolean cutThrough; // the text before was cut for its length alone
  private boolean continues;

  /// @throws InvalidTextException if the file cannot be opened
  DocumentReader(Path path, Cut cut) {
    this.path = path;
    this.cut = cut;
    try {
      file = FileChannel.open(path);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  static InvalidTextException unreadable(Path path, IOException e) {
    return new InvalidTextException(path + ": cannot read the file: " + ErrorReason.of(e), e);
  }

  @Override
  public boolean hasNext() {
    if (next == null) {
      next =
          switch (cut) {
            case SEPARATOR -> readToSeparator();
            case BLANK_LINES -> readToBlankLines();
          };
    }
    return next != null;
  }

  @Override
  public String next() {
    if (!hasNext() || next == null) {
      throw new NoSuchElementException();
    }
    String document = next;
    next = null;
    continues = nextContinues;
    return document;
  }

  /// Returns whether the document given out last is a later piece of one that is longer than
  /// [#MAX_BYTES].
  boolean continues() {
    return continues;
  }

  @Override
  public void close() {
    try {
      file.close();
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  private @Nullable String readToSeparator() {
    while (true) {
      if (atDocumentStart && sawSeparator) {
        skipLineEnds();
      }
      nextContinues = !atDocumentStart;
      int found = findSeparator();
      int length = found >= 0 ? found : end - start;
      int fitting = fitting(length);
      String document;
      if (fitting < length) {
        document = take(lastLineEnd(fitting));
        atDocumentStart = false;
      } else if (found >= 0) {
        boolean isWhole = atDocumentStart;
        String text = take(found);
        start += SEPARATOR.length();
        sawSeparator = true;
        atDocumentStart = true;
        document = trimLineEnds(text, isWhole);
      } else {
        String text = take(length);
        if (text.isEmpty()) {
          return null;
        }
        document = sawSeparator ? trimLineEnds(text, false) : text;
      }
      if (!document.isEmpty()) {
        return document;
      }
    }
  }

  private @Nullable String readToBlankLines() {
    while (end - start <= MAX_BYTES && !exhausted) {
      fill();
    }
    nextContinues = cutThrough;
    cutThrough = false;
    int length = end - start;
    int lineStart = 0;
    int bytesBeforeLine = 0;
    int afterBlank = -1;
    int bytesSoFar = 0;
    for (int i = 0; i < length; i++) {
      char c = chars[start + i];
      bytesSoFar += utf8Bytes(c);
      if (bytesSoFar > MAX_BYTES) {
        cutThrough = afterBlank < 0;
        return take(afterBlank >= 0 ? afterBlank : lastLineEnd(fitting(length)));
      }
      if (c == '\n') {
        if (bytesBeforeLine >= BLANK_LINES_AFTER && isBlank(lineStart, i)) {
          afterBlank = i + 1; // more blank lines may follow
        }
        lineStart = i + 1;
        bytesBeforeLine = bytesSoFar;
      } else if (afterBlank >= 0 && !isWhiteInLine(c)) {
        return take(afterBlank);
      }
    }
    return length == 0 ? null : take(length);
  }

  private boolean isBlank(int from, int to) {
    for (int i = from; i < to; i++) {
      if (!isWhiteInLine(chars[start + i])) {
        return false;
      }
    }
    return true;
  }

  private static boolean isWhiteInLine(char c) {
    return c == ' ' || c == '\t' || c == '\r';
  }

  private static boolean isLineEnd(char c) {
    return c == '\n' || c == '\r';
  }

  private static String trimLineEnds(String text, boolean atStartToo) {
    int from = 0;
    int to = text.length();
    while (to > 0 && isLineEnd(text.charAt(to - 1))) {
      to--;
    }
    while (atStartToo && from < to && isLineEnd(text.charAt(from))) {
      from++;
    }
    return text.substring(from, to);
  }

  private void skipLineEnds() {
    while (true) {
      while (start < end && isLineEnd(chars[start])) {
        start++;
      }
      if (start < end || exhausted) {
        return;
      }
      fill();
    }
  }

  /// The separator's distance from `start`, or -1 if it is not within reach of one document; then
  /// at least one whole document, or the rest of the file, is in `chars`.
  private int findSeparator() {
    int searched = 0;
    while (true) {
      for (int i = searched; i <= end - start - SEPARATOR.length(); i++) {
        if (chars[start + i] == '<' && isSeparator(start + i)) {
          return i;
        }
      }
      if (exhausted || end - start >= MAX_BYTES + SEPARATOR.length()) {
        return -1;
      }
      searched = Math.max(0, end - start - SEPARATOR.length() + 1); // it may lie on the border
      fill();
    }
  }

  private boolean isSeparator(int at) {
    for (int i = 0; i < SEPARATOR.length(); i++) {
      if (chars[at + i] != SEPARATOR.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  /// Returns the number of the next `length` chars that fit into one document; never half a
  /// character.
  private int fitting(int length) {
    if (length <= MAX_BYTES / 3) {
      return length;
    }
    int size = 0;
    for (int i = 0; i < length; i++) {
      size += utf8Bytes(chars[start + i]);
      if (size > MAX_BYTES) {
        return i > 0 && Character.isLowSurrogate(chars[start + i]) ? i - 1 : i;
      }
    }
    return length;
  }

  private static int utf8Bytes(char c) {
    return c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3;
  }

  private int lastLineEnd(int length) {
    for (int i = length; i > 0; i--) {
      if (chars[start + i - 1] == '\n') {
        return i;
      }
    }
    return length;
  }

  private String take(int length) {
    var text = new String(chars, start, length);
    start += length;
    return text;
  }

  /// Decodes more of the file, at least one char unless it is exhausted.
  private void fill() {
    if (start > 0 && (start == end || chars.length - end < CHUNK)) {
      System.arraycopy(chars, start, chars, 0, end - start);
      end -= start;
      start = 0;
    }
    if (chars.length - end < CHUNK) {
      chars = Arrays.copyOf(chars, chars.length * 2);
    }
    int before = end;
    while (end == before && !exhausted) {
      decode();
      if (atFileStart && end > before) {
        atFileStart = false;
        if (chars[before] == '\uFEFF') {
          start++;
          before++;
        }
      }
    }
  }

  private void decode() {
    boolean atEnd;
    try {
      bytes.compact();
      int got = file.read(bytes);
      bytes.flip();
      atEnd = got < 0;
      bytesRead += Math.max(0, got);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
    var out = CharBuffer.wrap(chars, end, chars.length - end);
    CoderResult result = decoder.decode(bytes, out, atEnd);
    if (result.isError()) {
      throw new InvalidTextException(
          "%s: not UTF-8: byte 0x%02X at offset %d does not belong to a character; save the file as UTF-8"
              .formatted(path, bytes.get(bytes.position()) & 0xFF, bytesRead - bytes.remaining()));
    }
    end = out.position();
    exhausted = atEnd;
  }
}
