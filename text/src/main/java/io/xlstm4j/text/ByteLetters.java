package io.xlstm4j.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/// The letters that stand for bytes in the vocabulary of a byte-level BPE.
///
/// A byte that is a visible Latin-1 character stands for itself; the other 68 take the letters from
/// U+0100 on, in order. So every token can be printed, and a space shows as `Ġ`.
final class ByteLetters {
  private static final int FIRST_STAND_IN = 0x100;
  private static final char[] LETTER = new char[256];
  private static final byte[] BYTE; // by letter
  private static final boolean[] IS_LETTER;

  static {
    char standIn = FIRST_STAND_IN;
    for (int b = 0; b < 256; b++) {
      LETTER[b] = isVisible(b) ? (char) b : standIn++;
    }
    BYTE = new byte[standIn];
    IS_LETTER = new boolean[standIn];
    for (int b = 0; b < 256; b++) {
      BYTE[LETTER[b]] = (byte) b;
      IS_LETTER[LETTER[b]] = true;
    }
  }

  private ByteLetters() {}

  private static boolean isVisible(int b) {
    return (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
  }

  static char letter(int unsignedByte) {
    return LETTER[unsignedByte];
  }

  /// The 256 letters, ascending.
  static char[] sorted() {
    char[] letters = LETTER.clone();
    Arrays.sort(letters);
    return letters;
  }

  /// The bytes that a token of the vocabulary stands for; one that is not all byte letters, as some
  /// special tokens are, stands for its own UTF-8.
  static byte[] bytesOf(String token) {
    var bytes = new ByteArrayOutputStream(token.length());
    for (int i = 0; i < token.length(); i++) {
      char c = token.charAt(i);
      if (c >= IS_LETTER.length || !IS_LETTER[c]) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      bytes.write(BYTE[c]);
    }
    return bytes.toByteArray();
  }
}
