package io.xlstm4j.text;

import java.util.function.IntFunction;

/// Joins the bytes of tokens into characters.
///
/// Malformed bytes become U+FFFD once per maximal well-formed beginning (Unicode 16, table 3-8),
/// which is what Rust, Python and browsers do. The JDK's own decoder differs for encoded
/// surrogates.
final class Utf8StreamDecoder implements StreamDecoder {
  private static final char REPLACEMENT = '\uFFFD';

  private final IntFunction<byte[]> bytesOf;

  private int missing; // continuation bytes still to come
  private int codePoint;
  private int lowest = 0x80; // bounds of the next continuation byte
  private int highest = 0xBF;

  /// @param bytesOf the bytes of an id; throws for an id that does not exist
  Utf8StreamDecoder(IntFunction<byte[]> bytesOf) {
    this.bytesOf = bytesOf;
  }

  static String decode(IntFunction<byte[]> bytesOf, int[] ids) {
    var decoder = new Utf8StreamDecoder(bytesOf);
    var text = new StringBuilder(ids.length * 4);
    for (int id : ids) {
      decoder.append(id, text);
    }
    return text.append(decoder.finish()).toString();
  }

  @Override
  public String next(int id) {
    var text = new StringBuilder();
    append(id, text);
    return text.toString();
  }

  @Override
  public String finish() {
    boolean unfinished = missing > 0;
    expectFirst();
    return unfinished ? String.valueOf(REPLACEMENT) : "";
  }

  private void append(int id, StringBuilder text) {
    for (byte b : bytesOf.apply(id)) {
      accept(b & 0xFF, text);
    }
  }

  private void accept(int b, StringBuilder text) {
    if (missing > 0 && (b < lowest || b > highest)) {
      text.append(REPLACEMENT);
      expectFirst(); // and b begins a character of its own
    }
    if (missing == 0) {
      first(b, text);
      return;
    }
    codePoint = codePoint << 6 | (b & 0x3F);
    lowest = 0x80;
    highest = 0xBF;
    if (--missing == 0) {
      text.appendCodePoint(codePoint);
    }
  }

  private void first(int b, StringBuilder text) {
    if (b < 0x80) {
      text.append((char) b);
    } else if (b >= 0xC2 && b <= 0xDF) {
      missing = 1;
      codePoint = b & 0x1F;
    } else if (b >= 0xE0 && b <= 0xEF) {
      missing = 2;
      codePoint = b & 0x0F;
      lowest = b == 0xE0 ? 0xA0 : 0x80; // shorter forms exist below
      highest = b == 0xED ? 0x9F : 0xBF; // surrogates above
    } else if (b >= 0xF0 && b <= 0xF4) {
      missing = 3;
      codePoint = b & 0x07;
      lowest = b == 0xF0 ? 0x90 : 0x80;
      highest = b == 0xF4 ? 0x8F : 0xBF; // beyond U+10FFFF above
    } else {
      text.append(REPLACEMENT);
    }
  }

  private void expectFirst() {
    missing = 0;
    lowest = 0x80;
    highest = 0xBF;
  }
}
