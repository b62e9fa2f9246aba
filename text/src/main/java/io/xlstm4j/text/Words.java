package io.xlstm4j.text;

/// Cuts text into the words that byte-level BPE never merges across.
///
/// The rule is GPT-2's: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+|
/// ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` with Unicode classes. It is written out by hand because every
/// character of a corpus goes through.
final class Words {
  private static final byte SPACE = 0;
  private static final byte LETTER = 1;
  private static final byte NUMBER = 2;
  private static final byte OTHER = 3;

  private static final byte[] ASCII = new byte[128];

  static {
    for (int c = 0; c < ASCII.length; c++) {
      ASCII[c] = classify(c);
    }
  }

  private Words() {}

  /// Returns the end of the word that begins at `start`; the words of a text tile it.
  ///
  /// @param start below the length of the text, and the end of the word before
  static int end(String text, int start) {
    char first = text.charAt(start);
    if (first == '\'') {
      int contraction = contractionEnd(text, start);
      if (contraction > 0) {
        return contraction;
      }
    }
    int body = first == ' ' ? start + 1 : start;
    if (body < text.length()) {
      byte kind = kindAt(text, body);
      if (kind != SPACE) {
        return runEnd(text, body, kind);
      }
    }
    int end = runEnd(text, start, SPACE);
    // the last space before a word belongs to the word; every white space is one char long
    return end < text.length() && end - start > 1 ? end - 1 : end;
  }

  private static int contractionEnd(String text, int start) {
    char second = start + 1 < text.length() ? text.charAt(start + 1) : 0;
    char third = start + 2 < text.length() ? text.charAt(start + 2) : 0;
    return switch (second) {
      case 's', 't', 'm', 'd' -> start + 2;
      case 'r', 'v' -> third == 'e' ? start + 3 : -1;
      case 'l' -> third == 'l' ? start + 3 : -1;
      default -> -1;
    };
  }

  private static int runEnd(String text, int start, byte kind) {
    int end = start;
    while (end < text.length() && kindAt(text, end) == kind) {
      end += Character.charCount(text.codePointAt(end));
    }
    return end;
  }

  private static byte kindAt(String text, int index) {
    char c = text.charAt(index);
    return c < ASCII.length ? ASCII[c] : classify(text.codePointAt(index));
  }

  private static byte classify(int codePoint) {
    return switch (Character.getType(codePoint)) {
      case Character.UPPERCASE_LETTER,
          Character.LOWERCASE_LETTER,
          Character.TITLECASE_LETTER,
          Character.MODIFIER_LETTER,
          Character.OTHER_LETTER ->
          LETTER;
      case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER ->
          NUMBER;
      case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
          SPACE;
      case Character.CONTROL ->
          (codePoint >= '\t' && codePoint <= '\r') || codePoint == 0x85 ? SPACE : OTHER;
      default -> OTHER;
    };
  }
}
